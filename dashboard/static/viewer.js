// The film viewer: window and level, invert, zoom, move, heat map; with the mouse, with fingers and with the keyboard.
"use strict";
(() => {
  const WHITE = 255;
  const within = (value, low, high) => Math.min(high, Math.max(low, value));

  const view = (root) => {
    const find = (name) => root.querySelector(`[data-${name}]`);
    const film = find("film"), stage = find("stage"), picture = find("picture"), filter = root.querySelector("filter");
    const sliders = { window: find("window"), level: find("level"), zoom: find("zoom") };
    const start = { window: 256, level: 128, zoom: 1 };
    const csrf = root.dataset.csrf;
    let inverted = false, x = 0, y = 0;

    const value = (name) => Number(sliders[name].value);
    const set = (name, to) => {
      sliders[name].value = within(to, Number(sliders[name].min), Number(sliders[name].max));
    };

    const draw = () => {
      const sign = inverted ? -1 : 1;
      const slope = sign * (WHITE + 1) / value("window");
      const middle = value("level") / WHITE;
      for (const part of filter.querySelectorAll("feFuncR, feFuncG, feFuncB")) {
        part.setAttribute("slope", slope);
        part.setAttribute("intercept", 0.5 - slope * middle);
      }
      const reach = (value("zoom") - 1) / 2;
      x = within(x, -reach * film.clientWidth, reach * film.clientWidth);
      y = within(y, -reach * film.clientHeight, reach * film.clientHeight);
      picture.style.filter = `url(#${filter.id})`;
      stage.style.transform = `translate(${x}px, ${y}px) scale(${value("zoom")})`;
      for (const slider of Object.values(sliders)) slider.nextElementSibling.textContent = slider.value;
      find("invert").setAttribute("aria-pressed", inverted);
      if (value("zoom") > 1) enlarge();
    };

    // Requests the large picture when the reader zooms in, or if there is no preview.
    let enlarged = false;
    const enlarge = async () => {
      if (enlarged) return;
      enlarged = true;
      try {
        const answer = await requestPicture(picture.dataset.detailAddress, csrf, () => true);
        if (answer.state !== "done") throw new Error(answer.state);
        picture.src = answer.picture;
        await picture.decode();
        picture.hidden = false;
        find("missing")?.remove();
      } catch {
        setTimeout(() => { enlarged = false; }, 10_000); // Without this pause, every movement of the film would send a request.
        const missing = find("missing");
        if (missing) missing.lastElementChild.textContent = "There is no picture of this film at the moment.";
      }
    };

    const reset = () => {
      for (const [name, to] of Object.entries(start)) set(name, to);
      inverted = false; x = 0; y = 0;
    };

    const keys = {
      "+": () => set("zoom", value("zoom") + 0.25), "=": () => set("zoom", value("zoom") + 0.25),
      "-": () => set("zoom", value("zoom") - 0.25),
      "[": () => set("window", value("window") - 16), "]": () => set("window", value("window") + 16),
      ",": () => set("level", value("level") - 8), ".": () => set("level", value("level") + 8),
      i: () => { inverted = !inverted; }, 0: reset,
      h: () => heat && heat.toggle(),
      ArrowLeft: () => { x += 24; }, ArrowRight: () => { x -= 24; },
      ArrowUp: () => { y += 24; }, ArrowDown: () => { y -= 24; },
    };
    film.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      if (event.key.startsWith("Arrow") && value("zoom") === 1) return; // The page scrolls.
      event.preventDefault();
      keys[event.key]();
      draw();
    });

    film.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      film.setPointerCapture(event.pointerId);
      const moves = event.shiftKey || event.pointerType === "touch";
      if (moves && value("zoom") === 1) return;
      const drag = (move) => {
        if (moves) { x += move.movementX; y += move.movementY; }
        else { set("window", value("window") + 2 * move.movementX); set("level", value("level") - move.movementY); }
        draw();
      };
      film.addEventListener("pointermove", drag);
      film.addEventListener("lostpointercapture", () => film.removeEventListener("pointermove", drag), { once: true });
    });
    film.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // Without it, the page scrolls.
      event.preventDefault();
      set("zoom", value("zoom") - Math.sign(event.deltaY) * 0.25);
      draw();
    }, { passive: false });

    for (const slider of Object.values(sliders)) slider.addEventListener("input", draw);
    find("invert").addEventListener("click", () => { inverted = !inverted; draw(); });
    find("reset").addEventListener("click", () => { reset(); draw(); });
    const heat = find("heat-choice") ? heatMap(find("heat-choice"), find("heat"), find("heat-status"), csrf) : null;
    find("controls").hidden = find("help").hidden = false;
    if (picture.hidden) enlarge();
    draw();
  };

  const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

  // Requests a picture and waits until a worker has made it, or until it is no longer wanted.
  const requestPicture = async (address, csrf, wanted) => {
    const first = await fetch(address, { method: "POST", headers: { "X-CSRFToken": csrf } });
    let answer = first.ok ? await first.json() : { state: "failed" };
    for (let tries = 0; answer.state === "asked" && tries < 60 && wanted(); tries += 1) {
      await wait(1);
      answer = await (await fetch(address, { cache: "no-store" })).json();
    }
    return answer;
  };

  // Lays the heat map of a finding over the film.
  const heatMap = (choice, overlay, status, csrf) => {
    let last = choice.options[1].value;

    const show = async () => {
      const finding = choice.value;
      overlay.hidden = true;
      status.textContent = "";
      if (!finding) return;
      last = finding;
      status.textContent = "Being drawn…";
      try {
        const address = `${choice.dataset.heatAddress}/${encodeURIComponent(finding)}`;
        const answer = await requestPicture(address, csrf, () => choice.value === finding);
        if (choice.value !== finding) return;
        if (answer.state !== "done") throw new Error(answer.state);
        overlay.src = answer.picture;
        overlay.alt = `Heat map of ${finding}: where the network looked, not where the finding is`;
        overlay.hidden = false;
        status.textContent = "Shows where the network looked; it is not an outline of the finding.";
      } catch {
        if (choice.value === finding) status.textContent = "There is no heat map at the moment.";
      }
    };
    choice.addEventListener("change", show);
    return { toggle: () => { choice.value = choice.value ? "" : last; show(); } };
  };

  for (const root of document.querySelectorAll("[data-viewer]")) view(root);
})();
