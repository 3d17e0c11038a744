// Shows times in the reader's own time zone, with the offset on hover. Without this script, they are in UTC.
"use strict";
const two = (number) => String(number).padStart(2, "0");
const localize = (root) => {
  for (const time of root.querySelectorAll("time[title]")) {
    const at = new Date(time.dateTime);
    const offset = -at.getTimezoneOffset();
    const sign = offset < 0 ? "-" : "+";
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const zone = `${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
    time.textContent = `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
    time.title = `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())} ${zone}`;
  }
};
localize(document);
for (const note of document.querySelectorAll("[data-zone]")) {
  note.textContent = `times are in ${Intl.DateTimeFormat().resolvedOptions().timeZone}; hover over a time for its offset`;
}

// Keeps a page up to date: polls the address in data-poll, and replaces the parts that have changed.
(() => {
  const live = document.querySelector("[data-poll]");
  if (!live) return;
  const seconds = Number(live.dataset.pollSeconds);
  const status = live.querySelector("[data-poll-status]");
  const shown = new Map();
  const address = new URL(live.dataset.poll, location.href);
  if (live.dataset.pollSeen) address.searchParams.set("seen", live.dataset.pollSeen);
  let last = new Date();

  const clock = (moment) => `${moment.toISOString().slice(11, 19)} +00:00`;

  const setStatus = (text, lost) => {
    if (status.textContent !== text) status.textContent = text;
    live.classList.toggle("live-lost", lost);
  };

  const show = (parts) => {
    for (const [name, html] of Object.entries(parts)) {
      const place = document.querySelector(`[data-part="${name}"]`);
      if (!place || shown.get(name) === html || place.contains(document.activeElement)) continue;
      place.innerHTML = html;
      localize(place);
      shown.set(name, html);
    }
  };

  const poll = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (answer.status === 401) return location.reload(); // The session has expired: show the log-in page.
      if (!answer.ok) throw new Error(answer.statusText);
      const state = await answer.json();
      show(state.parts);
      if (state.seen) address.searchParams.set("seen", state.seen);
      last = new Date();
      setStatus(`Updates every ${seconds} s`, false);
      if (state.reload) location.reload();
    } catch {
      setStatus(`No answer; last update at ${clock(last)}`, true);
    }
  };

  // One request at a time, however slow the answer is.
  const repeat = async () => { await poll(); setTimeout(repeat, 1000 * seconds); };
  document.addEventListener("visibilitychange", poll);
  setTimeout(repeat, 1000 * seconds);
})();

// Selecting a finding also selects the radio button that it belongs to.
for (const box of document.querySelectorAll("[data-chooses]")) {
  box.addEventListener("change", () => {
    if (box.checked) box.form.querySelector(`[name="verdict"][value="${box.dataset.chooses}"]`).checked = true;
  });
}

// Images that are reloaded at intervals, and forms that ask for confirmation.
for (const picture of document.querySelectorAll("[data-refresh]")) {
  setInterval(() => {
    if (document.hidden) return;
    const address = new URL(picture.src);
    address.searchParams.set("at", Date.now());
    picture.src = address;
  }, 1000 * picture.dataset.refresh);
}
for (const form of document.querySelectorAll("[data-confirm]")) {
  form.addEventListener("submit", (event) => { if (!confirm(form.dataset.confirm)) event.preventDefault(); });
}
