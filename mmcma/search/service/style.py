"""How the page looks, and what it does in the browser."""
STYLE = '''
.gradio-container { width: 100%; max-width: 1200px !important; margin: 0 auto !important; padding: 0 !important; }
.gradio-container .app { padding: 28px 16px 56px; }
.gradio-container .column { gap: 12px; }
.gradio-container .row { gap: 8px; }
.heading h1 { font-size: 1.55rem; font-weight: 650; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
.heading p { color: var(--body-text-color-subdued); margin: 2px 0 4px; font-size: .92rem; }
#upload .wrap:has(.or) { flex-direction: row; justify-content: center; height: 100%; min-height: 0; padding: 0;
  font-size: 0; }
#upload .wrap:has(.or) > * { display: none; }
#upload .wrap:has(.or)::after { content: 'or like an image or video: choose, or drop it here'; font-size: .9rem; }
#upload .download { display: none; }
#found { margin-top: 8px; }
.html-container { padding: 0 !important; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 16px; }
.cards article { background: var(--background-fill-primary); border: 1px solid var(--border-color-primary);
  border-radius: 12px; overflow: hidden; }
.cards video, .cards img { display: block; width: 100%; aspect-ratio: 16 / 10; object-fit: contain;
  background: #10151b; }
.about { display: flex; align-items: baseline; gap: 8px; padding: 10px 12px; }
.name { flex: 1; min-width: 0; overflow-wrap: anywhere; line-height: 1.3; }
.name small { display: block; }
.name small, .length, .rank, .scale { color: var(--body-text-color-subdued); }
.name small, .length, .rank, .score, .scale { font-size: .84rem; font-variant-numeric: tabular-nums; }
.length, .score { white-space: nowrap; }
.score { background: #e5f3ea; color: #1c6b39; border-radius: 99px; padding: 1px 9px; }
.cards button { all: unset; box-sizing: border-box; cursor: pointer; border-radius: 3px; }
.cards button:focus-visible { outline: 2px solid #2f9e55; }
.weights { display: flex; gap: 3px; height: 44px; margin: 0 12px;
  border-bottom: 1px solid var(--border-color-primary); }
.weights button { flex: 1; min-width: 0; display: flex; align-items: flex-end; }
.weights i { display: block; width: 100%; min-height: 3px; border-radius: 3px 3px 0 0; background: #a5d2b6; }
.weights button:hover { background: var(--background-fill-secondary); }
.weights .best i { background: #2f9e55; }
.weights .now i { background: #e0a030; }
.scale { display: flex; justify-content: space-between; padding: 5px 12px 10px; }
.scale button:hover { text-decoration: underline; }
.message { color: var(--body-text-color-subdued); background: var(--background-fill-secondary); padding: 13px 16px;
  border-radius: 10px; margin: 0; overflow-wrap: anywhere; }
.message.wrong { background: #fdecec; color: #a12626; }
'''

#: A bar plays its moment, one video plays at a time, and one that cannot be played says so.
SCRIPT = '''<script>
document.addEventListener('click', event => {
  const button = event.target.closest('[data-at]');
  if (!button) return;
  const video = button.closest('article').querySelector('video');
  video.currentTime = button.dataset.at;
  video.play().catch(() => {});  // what is wrong is said below
});
document.addEventListener('play', event => {
  for (const video of document.querySelectorAll('video')) if (video !== event.target) video.pause();
}, true);
document.addEventListener('timeupdate', event => {
  const bars = [...event.target.closest('article')?.querySelectorAll('.weights button') ?? []];
  const now = bars.findLast(bar => bar.dataset.at <= event.target.currentTime + 0.001);
  for (const bar of bars) bar.classList.toggle('now', bar === now);
}, true);
document.addEventListener('error', event => {
  if (!event.target.matches?.('article video')) return;
  const note = Object.assign(document.createElement('p'), {className: 'message wrong',
    textContent: 'This file cannot be played: it is damaged, or no longer there.'});
  event.target.replaceWith(note);
}, true);
</script>'''
