// A bar plays its moment, one video plays at a time, and one that cannot be played says so.
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
