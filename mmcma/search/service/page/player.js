'use strict';
// A video with controls of its own below it: a browser's would lie on the picture.
let playing = null;  // the one that does

class Player {
  constructor(card, hit, at) {
    Object.assign(this, {card, hit, at, video: null, begin: 0, preview: false});
    this.picture = card.querySelector('.picture');
    this.still = this.picture.firstElementChild;
    this.strip = card.querySelector('.where');
    const on = (name, call) => { card.querySelector(name).onclick = call; };
    on('.play', () => this.toggle());
    on('.picture', () => this.toggle());
    on('.sound', () => { if (this.video) this.video.muted = !this.video.muted; });
    on('.full', () => { this.toggle(true); this.picture.requestFullscreen(); });
    on('.where', event => {
      const box = this.strip.getBoundingClientRect();
      if (hit.duration) this.play(Math.max(0, (event.clientX - box.left) / box.width * hit.duration));
    });
    this.show();
  }

  get now() { return this.video ? this.begin + this.video.currentTime : this.at; }

  toggle(only_start = false) {
    if (!this.video) this.play(this.at);
    else if (this.video.paused) this.video.play();
    else if (!only_start) this.video.pause();
  }

  // Plays from a moment of the file: of the file itself, or where the browser cannot, of a preview that begins there.
  play(seconds, preview = this.preview) {
    if (playing !== this) playing?.stop();
    playing = this;
    if (this.video && !preview) this.video.currentTime = seconds;
    else this.open(seconds, preview);
    this.video.play().catch(() => {});  // what is wrong is said by the video's own event
  }

  open(seconds, preview) {
    const path = this.hit.path, video = document.createElement('video');
    this.close();
    Object.assign(this, {video, preview, begin: preview ? seconds : 0});
    video.playsInline = true;
    video.onerror = () => { if (video === this.video) this.fail(seconds); };
    video.onloadedmetadata = () => { if (!video.videoWidth) this.fail(seconds); };  // sound alone: of HEVC, for one
    video.ontimeupdate = video.onplay = video.onpause = video.onvolumechange = () => this.show();
    video.src = preview ? item('preview', {path, at: seconds.toFixed(3)}) : item('media', {path});
    if (!preview) video.currentTime = seconds;
    this.picture.replaceChildren(video);
    this.card.classList.add('playing');
  }

  fail(seconds) {
    if (!this.preview) return this.play(seconds, true);
    this.stop();
    this.picture.replaceChildren(note('This file cannot be played: it is damaged, or no longer there.'));
  }

  close() {
    const video = this.video;
    this.video = null;
    if (!video) return;
    video.removeAttribute('src');  // ends what is still on its way
    video.load();
  }

  stop() {
    this.at = this.now;
    this.close();
    this.picture.replaceChildren(this.still);
    this.card.classList.remove('playing');
    if (playing === this) playing = null;
    this.show();
  }

  show() {
    const running = this.video && !this.video.paused, {duration} = this.hit;
    this.card.querySelector('.play').textContent = running ? '❚❚' : '▶';
    this.card.querySelector('.sound').textContent = this.video?.muted ? 'unmute' : 'mute';
    this.card.querySelector('.time').textContent = clock(this.now) + (duration ? ` / ${clock(duration)}` : '');
    if (duration) this.strip.firstElementChild.style.left = `${100 * Math.min(this.now / duration, 1)}%`;
  }
}
