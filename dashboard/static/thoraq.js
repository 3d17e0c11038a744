// Keeps a page current: asks its data-poll address again and again, and puts the parts that changed in place.
"use strict";
(() => {
  const live = document.querySelector("[data-poll]");
  if (!live) return;
  const seconds = Number(live.dataset.pollSeconds);
  const status = live.querySelector("[data-poll-status]");
  const shown = new Map();
  let last = new Date();

  const clock = (moment) => `${moment.toISOString().slice(11, 19)} +00:00`;

  const say = (text, lost) => {
    if (status.textContent !== text) status.textContent = text;
    live.classList.toggle("live-lost", lost);
  };

  const show = (parts) => {
    for (const [name, html] of Object.entries(parts)) {
      const place = document.querySelector(`[data-part="${name}"]`);
      if (!place || shown.get(name) === html || place.contains(document.activeElement)) continue;
      place.innerHTML = html;
      shown.set(name, html);
    }
  };

  const ask = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(live.dataset.poll, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (answer.status === 401) return location.reload(); // The session is over: the log-in page comes.
      if (!answer.ok) throw new Error(answer.statusText);
      const state = await answer.json();
      show(state.parts);
      last = new Date();
      say(`Updates every ${seconds} s`, false);
      if (state.reload) location.reload();
    } catch {
      say(`No answer; this is how it stood at ${clock(last)}`, true);
    }
  };

  // One question at a time, however slow the answer.
  const again = async () => { await ask(); setTimeout(again, 1000 * seconds); };
  document.addEventListener("visibilitychange", ask);
  setTimeout(again, 1000 * seconds);
})();
