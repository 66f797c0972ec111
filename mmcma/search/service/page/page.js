'use strict';
// The page: a client of the API and nothing else. What it shows of a gallery is text and never markup.
const PAGE = 12, DEPTH = 240;  // moments that are loaded at once, and at most; the model orders as many
const byId = id => document.getElementById(id);
const query = {params: new URLSearchParams(), file: null};  // what is shown
let maxUpload = Infinity, next = null, hits = [], asking = new AbortController();

/* The API */

async function ask(path, options) {
  const response = await fetch(`api/${path}`, options);
  if (response.status === 401) {
    await askToken();
    return ask(path, options);
  }
  if (response.status === 204) return null;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

async function askToken() {
  byId('ask_token').showModal();
  await new Promise(closed => byId('ask_token').addEventListener('close', closed, {once: true}));
  await fetch('api/session', {method: 'POST', headers: {Authorization: `Bearer ${byId('token').value.trim()}`}});
}

const item = (kind, params) => `api/items/${kind}?${new URLSearchParams(params)}`;

/* Words */

// Control characters, and those that turn the direction of writing, as signs that can be seen.
const visible = name => name.replace(/[\u0000-\u001f]/g, char => String.fromCharCode(0x2400 + char.charCodeAt()))
  .replace(/[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd');

function clock(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return (hours ? `${hours}:${String(minutes).padStart(2, '0')}` : minutes) + ':' + String(rest).padStart(2, '0');
}

function say(text, wrong = false) {
  byId('status').textContent = text;
  byId('status').classList.toggle('wrong', wrong);
}

/* Queries */

function search({params, file = null}, remember = true) {
  for (const select of document.querySelectorAll('select')) {
    if (!params.has(select.id) && select.value) params.set(select.id, select.value);
  }
  Object.assign(query, {params, file});
  byId('q').value = params.get('q') ?? '';
  if (!file) byId('file').value = '';
  if (remember) history.pushState(null, '', `?${params}`);
  clear();
  return load(0);
}

function clear() {
  asking.abort();  // what is still on its way is of another query
  asking = new AbortController();
  playing?.stop();
  [next, hits] = [null, []];
  byId('results').replaceChildren();
}

function request(offset) {
  const params = new URLSearchParams(query.params);
  const [least, most] = (params.get('length') ?? '').split('-');
  params.delete('length');
  if (least) params.set('min_seconds', least);
  if (most) params.set('max_seconds', most);
  for (const [key, value] of Object.entries({k: PAGE, offset, rerank: DEPTH})) params.set(key, value);
  if (!query.file) return [`search?${params}`, {signal: asking.signal}];
  const body = new FormData();
  body.append('file', query.file);
  return [`search?${params}`, {signal: asking.signal, method: 'POST', body}];
}

async function load(offset) {
  if (query.file?.size > maxUpload) return say(`${visible(query.file.name)} is too large: ${maxUpload / 1e6} MB at most`, true);
  next = null;
  if (!offset) say('searching…');
  try {
    const answer = await ask(...request(offset));
    const known = new Set(hits.map(hit => `${hit.path}\n${hit.start}`));  // the gallery may have grown between two pages
    const fresh = answer.hits.filter(hit => !known.has(`${hit.path}\n${hit.start}`));
    hits.push(...fresh);
    byId('results').append(...fresh.map((hit, place) => makeCard(hit, hits.length - fresh.length + place + 1)));
    showWhere();
    next = answer.next !== null && answer.next + PAGE < DEPTH ? answer.next : null;
    const like = query.file?.name ?? query.params.get('like');
    say(hits.length ? (like ? `like ${visible(like)}` : '') : 'nothing found');
    observer.unobserve(byId('more'));  // so that it looks again
    if (next !== null) observer.observe(byId('more'));
  } catch (error) {
    complain(error);
  }
}

function complain(error) {
  if (error.name !== 'AbortError') say(error.message, true);
}

const observer = new IntersectionObserver(entries => {
  if (next !== null && entries.some(entry => entry.isIntersecting)) load(next);
}, {rootMargin: '400px'});

/* Cards */

function makeCard(hit, rank = null) {
  const card = byId('card').content.cloneNode(true).firstElementChild;
  const part = name => card.querySelector(`.${name}`);
  const at = hit.best_moment ?? hit.start ?? 0,  // an example has none of both
    slash = hit.path.lastIndexOf('/') + 1;
  card.hit = hit;
  part('file').textContent = visible(hit.path.slice(slash));
  part('file').title = visible(hit.path);
  part('below').textContent = visible(hit.path.slice(0, slash));
  if (hit.end - hit.start < hit.duration) part('below').append(` ${clock(hit.start)}–${clock(hit.end)}`);
  part('rank').textContent = rank ?? '';
  if (hit.score === undefined) part('score').remove();
  else part('score').textContent = hit.score.toFixed(3);
  if (hit.mark) part('below').after(Object.assign(document.createElement('small'), {className: 'mark', textContent: hit.mark}));
  part('like').onclick = () => search({params: new URLSearchParams({like: hit.path, at: at.toFixed(3)})});
  const image = part('picture').firstElementChild;
  image.alt = visible(hit.path);
  image.onerror = () => part('picture').replaceChildren(note(`${visible(hit.path)} cannot be shown`));
  image.src = item('thumbnail', {path: hit.path, at});
  if (hit.kind === 'image') {
    for (const name of ['controls', 'where', 'weights']) part(name).remove();
    image.onclick = () => open(item('thumbnail', {path: hit.path, height: 1080}));
  } else {
    card.player = new Player(card, hit, at);
    addWeights(part('weights'), hit, card.player);
  }
  return card;
}

const note = text => Object.assign(document.createElement('p'), {textContent: text});

function addWeights(row, hit, player) {
  if ((hit.frame_weights ?? []).length < 2) return;
  const top = Math.max(...hit.frame_weights);
  row.append(...hit.frame_weights.map((weight, place) => {
    const seconds = hit.frame_times[place], button = document.createElement('button');
    button.title = `${clock(seconds)} · ${(100 * weight).toFixed(1)} % of the score`;
    button.classList.toggle('best', seconds === hit.best_moment);
    button.append(document.createElement('i'));
    button.firstChild.style.height = `${100 * weight / top}%`;
    button.onclick = () => player.play(seconds);
    return button;
  }));
}

function showWhere() {
  for (const {hit, player} of document.querySelectorAll('article')) {
    player?.strip.querySelectorAll('b').forEach(block => block.remove());
    player?.strip.append(...hits.filter(other => other.path === hit.path && hit.duration).map(other => {
      const block = document.createElement('b');
      block.classList.toggle('own', other === hit);
      block.title = `${clock(other.start)}–${clock(other.end)} · ${other.score.toFixed(3)}`;
      block.style.left = `${100 * other.start / hit.duration}%`;
      block.style.width = `${100 * (other.end - other.start) / hit.duration}%`;
      return block;
    }));
  }
}

/* What people do */

byId('search').onsubmit = event => {
  event.preventDefault();
  search({params: new URLSearchParams({q: byId('q').value})});
};
for (const select of document.querySelectorAll('select')) {
  select.onchange = () => {
    const params = new URLSearchParams(query.params);
    params.delete(select.id);
    if (query.file || params.has('q') || params.has('like')) search({params, file: query.file});
  };
}
const like = file => { if (file) search({params: new URLSearchParams(), file}); };
byId('file').onchange = () => like(byId('file').files[0]);
document.ondragover = event => { event.preventDefault(); document.body.classList.add('dropping'); };
document.ondragleave = () => document.body.classList.remove('dropping');
document.ondrop = event => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  like(event.dataTransfer.files[0]);
};
document.onkeydown = event => {
  if (event.target.matches('input, select') || event.ctrlKey || event.metaKey || event.altKey) return;
  const cards = [...document.querySelectorAll('article')], place = cards.indexOf(document.activeElement?.closest('article'));
  const player = cards[place]?.player, keys = {
    '/': () => byId('q').select(),
    j: () => cards[Math.min(place + 1, cards.length - 1)]?.focus(),
    k: () => cards[Math.max(place - 1, 0)]?.focus(),
    m: () => cards[place]?.querySelector('.like').click(),
    ' ': event.target.matches('button, a') ? null : place < 0 ? null : () => player?.toggle(),
    ArrowLeft: player && (() => player.play(Math.max(0, player.now - 5))),
    ArrowRight: player && (() => player.play(player.now + 5)),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
};

/* The beginning */

function fromAddress() {
  const params = new URLSearchParams(location.search);
  for (const select of document.querySelectorAll('select')) select.value = params.get(select.id) ?? '';
  if (params.has('q') || params.has('like')) return search({params}, false);
  Object.assign(query, {params: new URLSearchParams(), file: null});
  return showExamples();
}

async function showExamples() {
  clear();
  byId('q').value = '';
  const {sample} = await ask(`items?k=${PAGE}`, {signal: asking.signal});
  say('Say what is to be seen, or begin with one of these:');
  byId('results').append(...sample.map(found => makeCard(found)));
}

async function begin() {
  const {name, model, files, max_upload} = await ask('health');
  maxUpload = max_upload;
  byId('name').textContent = document.title = visible(name);
  byId('about').textContent = `${files.toLocaleString()} videos and images, searched with ${visible(model)}`;
  const {folders} = await ask('items?k=1');
  byId('folder').append(...folders.map(folder => new Option(visible(folder), folder)));
  window.onpopstate = () => fromAddress().catch(complain);
  if (!query.file && !query.params.toString()) await fromAddress();  // else somebody has asked already
}
begin().catch(complain);
