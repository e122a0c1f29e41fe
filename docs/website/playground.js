// The playground: paths of the chosen optimizers on a surface, and their losses, drawn as they move.
"use strict";

(() => {
  const { usual: USUAL, rates: RATES, colours: COLOURS, levels: LEVELS } = optgen.settings;
  const SECONDS = 4, MOST_STEPS = 2000, GRID = 90, FONT = 12.5;
  const root = document.querySelector(".playground");
  const part = (name) => root.querySelector(`.${name}`);
  const [map, loss, chosenList, play, slider, said] = ["map", "loss", "chosen", "play", "step", "said"].map(part);
  const [surfaceChoice, stepsField, adding] = ["surface-choice", "steps", "adding"].map(part);

  const state = { surface: Object.keys(optgen.surfaces)[0], steps: 200, chosen: [], at: 0, since: null };
  const surface = () => optgen.surfaces[state.surface];
  const tidy = (x) => x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5 ? x.toExponential(1) : String(+x.toPrecision(3));

  // What runs ---------------------------------------------------------------------------------------------------------

  const run = (each, hypers) => optgen.path(optgen.rules[each.name], surface(), state.steps, hypers);

  // How high a path was on average, in powers of ten; one that leaves the window is worse than any that does not.
  const quality = (points) => {
    const [left, right, low, high] = surface().window, floor = 1e-3 * optgen.height(surface(), surface().start);
    const stays = points.every(([x, y]) => left <= x && x <= right && low <= y && y <= high);
    const heights = points.map((point) => Math.log10(Math.max(optgen.height(surface(), point), floor)));
    const mean = heights.reduce((a, b) => a + b, 0) / heights.length;
    return (Number.isNaN(mean) ? Infinity : mean) + (stays ? 0 : 100);
  };

  const compute = (each) => {
    const { hypers, name } = each, free = "lr" in optgen.rules[name].hypers && !("lr" in hypers);
    const tried = free ? RATES.map((lr) => ({ ...hypers, lr })) : [hypers];
    const paths = tried.map((given) => run(each, given)), scores = paths.map(quality);
    const best = Math.max(0, scores.indexOf(Math.min(...scores)));
    each.points = paths[best];
    each.values = optgen.completed(optgen.rules[name], tried[best]);
    each.isBest = free;
    each.losses = each.points.map((point) => optgen.height(surface(), point));
    each.title = optgen.rules[name].title;
  };

  const refresh = (which = state.chosen) => {
    which.forEach(compute);
    stepsField.value = slider.max = state.steps;
    surfaceChoice.value = state.surface;
    adding.disabled = state.chosen.length >= COLOURS.light.length;
    keep();
    list();
    start();
  };

  // The address says what is shown: #adam,adamw?surface=ravine&steps=300&adam.lr=0.01 ------------------------------------

  const keep = () => {
    const given = new URLSearchParams({ surface: state.surface, steps: state.steps });
    for (const { name, hypers } of state.chosen) {
      for (const [key, value] of Object.entries(hypers)) given.set(`${name}.${key}`, value);
    }
    history.replaceState(null, "", `#${state.chosen.map(({ name }) => name)}?${given}`);
  };

  const recall = () => {
    const [names, given = ""] = decodeURIComponent(location.hash.slice(1)).split("?"), said = new URLSearchParams(given);
    const known = [...new Set(names.split(","))].filter((name) => Object.hasOwn(optgen.rules, name));
    if (!known.length && state.chosen.length) return; // the address of a heading
    state.chosen = (known.length ? known : USUAL).slice(0, COLOURS.light.length).map((name) => ({ name, hypers: {} }));
    for (const { name, hypers } of state.chosen) {
      for (const [key, about] of Object.entries(optgen.rules[name].hypers)) {
        const value = Number(said.get(`${name}.${key}`) ?? NaN);
        if (holds(about, value)) hypers[key] = value;
      }
    }
    if (Object.hasOwn(optgen.surfaces, said.get("surface") ?? "")) state.surface = said.get("surface");
    state.steps = counted(said.get("steps") ?? state.steps);
    refresh();
  };

  const counted = (text) => Math.min(MOST_STEPS, Math.max(1, Math.round(Number(text)) || 1));

  // Hyperparameters -----------------------------------------------------------------------------------------------------

  const holds = ({ low, high, open, integer }, x) => Number.isFinite(x) && (!integer || Number.isInteger(x))
    && (low === null || (open[0] ? low < x : low <= x)) && (high === null || (open[1] ? x < high : x <= high));

  // What a slider shows as it moves from 0 to 1: decades, decades from 1 on down, or evenly.
  const scale = ({ low, high, usual }) => {
    if (low === 0 && high === 1 && usual > 0.5) {
      return { to: (s) => +(1 - 10 ** (-5 * s)).toPrecision(6), from: (x) => -Math.log10(Math.max(1 - x, 1e-5)) / 5 };
    }
    if (low === 0 && high === null) {
      const first = usual > 0 ? Math.floor(Math.log10(usual)) - 3 : -6, span = usual > 0 ? 7 : 6;
      return {
        to: (s) => s === 0 && usual === 0 ? 0 : +(10 ** (first + span * s)).toPrecision(3),
        from: (x) => (Math.log10(Math.max(x, 1e-300)) - first) / span,
      };
    }
    const reach = 2 * Math.max(1, Math.abs(usual)), least = low ?? usual - reach, most = high ?? usual + reach;
    return { to: (s) => +(least + s * (most - least)).toPrecision(6), from: (x) => (x - least) / (most - least) };
  };

  const element = (tag, properties = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...inside);
    return made;
  };

  const field = (each, key, about) => {
    const { to, from } = scale(about), value = each.values[key];
    const number = element("input", { type: "number", step: "any", value: +value.toPrecision(6), title: `a number in ${about.domain}` });
    const range = element("input", { type: "range", min: 0, max: 1, step: 0.005, value: from(value), ariaLabel: `${key} of ${each.title}` });
    range.hidden = about.integer;
    const set = (x) => {
      const fits = holds(about, x);
      number.classList.toggle("wrong", !fits);
      if (!fits) return;
      each.hypers[key] = x;
      compute(each);
      keep();
      describe(each);
      draw();
    };
    range.addEventListener("input", () => { number.value = to(Number(range.value)); set(Number(number.value)); });
    number.addEventListener("change", () => { range.value = from(Number(number.value)); set(Number(number.value)); });
    return element("label", { title: about.meaning }, element("code", { textContent: key }), range, number);
  };

  const list = () => chosenList.replaceChildren(...state.chosen.map((each) => {
    const remove = element("button", { type: "button", textContent: "×", title: `Remove ${each.title}`, ariaLabel: `Remove ${each.title}` });
    remove.addEventListener("click", () => {
      state.chosen = state.chosen.filter((other) => other !== each);
      refresh([]);
    });
    each.note = element("span", { className: "note" });
    const name = element("a", { href: `gallery/${each.name}.html`, textContent: each.title });
    const reset = element("button", { type: "button", textContent: "Reset", title: "Defaults, and the best learning rate here" });
    reset.addEventListener("click", () => { each.hypers = {}; refresh([each]); });
    const hypers = Object.entries(optgen.rules[each.name].hypers).map(([key, about]) => field(each, key, about));
    each.swatch = element("i", { className: "swatch" });
    each.details = element("details", { open: each.details?.open ?? false }, element("summary", { textContent: "Hyperparameters" }), ...hypers, reset);
    describe(each);
    return element("div", { className: "rule" }, element("p", {}, each.swatch, name, each.note, remove), each.details);
  }));

  const describe = (each) => {
    const end = each.losses.at(-1), { lr } = each.values;
    const rate = lr === undefined ? "" : `lr ${tidy(lr)}${each.isBest ? `, the best of ${RATES.length}` : ""}; `;
    each.note.textContent = `${rate}ends at ${Number.isFinite(end) ? tidy(end) : "no number"}`;
  };

  // Pictures ------------------------------------------------------------------------------------------------------------

  const theme = () => {
    const dark = document.body.dataset.mdColorScheme === "slate";
    return {
      colours: dark ? COLOURS.dark : COLOURS.light, ink: dark ? "#c9ccd6" : "#444", ground: dark ? "#1a1c25" : "#fff",
      line: dark ? "#474b5c" : "#c4c4c4", faint: dark ? "#2c2f3b" : "#ebebeb",
    };
  };

  // A canvas as sharp as the screen: its pen, and its size in CSS pixels.
  const sheet = (canvas, ground) => {
    const { clientWidth: width, clientHeight: height } = canvas, dense = window.devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.fillStyle = ground;
    pen.fillRect(0, 0, width, height);
    pen.font = `${FONT}px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    return { pen, width, height };
  };

  // Contour lines as pairs of points, from 0 to 1 across and up: where a level crosses the sides of the triangles of a grid.
  const contours = (() => {
    const known = {};
    return (name) => known[name] ??= traced(optgen.surfaces[name]);
  })();

  const traced = (surface) => {
    const [left, right, low, high] = surface.window, lines = [];
    const at = (i, j) => [i / GRID, j / GRID];
    const depth = ([u, v]) => Math.log10(optgen.height(surface, [left + u * (right - left), low + v * (high - low)]) + 1e-2);
    const grid = Array.from({ length: GRID + 1 }, (_, i) => Array.from({ length: GRID + 1 }, (_, j) => depth(at(i, j))));
    const all = grid.flat(), least = Math.min(...all), most = Math.max(...all);
    for (let k = 1; k < LEVELS; k++) {
      const level = least + k / LEVELS * (most - least);
      for (let i = 0; i < GRID; i++) for (let j = 0; j < GRID; j++) {
        const [a, b, c, d] = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
        for (const corners of [[a, b, c], [a, c, d]]) {
          const crossed = corners.flatMap((one, n) => {
            const other = corners[(n + 1) % 3], from = grid[one[0]][one[1]], to = grid[other[0]][other[1]];
            if ((from < level) === (to < level)) return [];
            const share = (level - from) / (to - from), [u, v] = at(...one), [p, q] = at(...other);
            return [[u + share * (p - u), v + share * (q - v)]];
          });
          if (crossed.length === 2) lines.push(crossed);
        }
      }
    }
    return lines;
  };

  // Names beside the points where lines end, moved until none covers another; what has no room goes to the left of its
  // point or, in a column, as far as it must.
  const label = (pen, ends, width, height, ground, inColumn = false) => {
    const apart = FONT * 1.3, half = apart / 2;
    const placed = [];
    for (const end of [...ends].sort((a, b) => a.y - b.y)) {
      const long = pen.measureText(end.name).width, right = end.x + 9 + long < width;
      const x = right ? Math.max(3, end.x + 9) : Math.min(inColumn ? width : end.x - 9, width - 3) - long;
      let y = Math.min(Math.max(end.y, half), height - half);
      for (const other of placed) {
        const beside = x > other.x + other.long + 4 || other.x > x + long + 4;
        if (!beside && y < other.y + apart) y = other.y + apart;
      }
      placed.push({ ...end, x: Math.max(3, x), y, long });
    }
    const over = Math.max(0, ...placed.map(({ y }) => y + half - height));
    for (const { name, colour, x, y } of placed) {
      pen.lineWidth = 4;
      pen.strokeStyle = ground;
      pen.strokeText(name, x, y - over);
      pen.fillStyle = colour;
      pen.fillText(name, x, y - over);
    }
  };

  const draw = () => {
    const look = theme(), at = Math.round(state.at);
    state.chosen.forEach((each, k) => {
      each.colour = look.colours[k];
      each.swatch.style.background = each.colour;
    });
    drawMap(look, at);
    drawLoss(look, at);
    slider.value = at;
    said.textContent = `step ${at} of ${state.steps}`;
    play.textContent = state.since === null ? "Play" : "Pause";
  };

  const drawMap = (look, at) => {
    const { pen, width, height } = sheet(map, look.ground), [left, right, low, high] = surface().window;
    const place = ([x, y]) => [(x - left) / (right - left) * width, (high - y) / (high - low) * height];
    pen.strokeStyle = look.line;
    pen.lineWidth = 0.8;
    pen.beginPath();
    for (const [[u, v], [p, q]] of contours(state.surface)) {
      pen.moveTo(u * width, (1 - v) * height);
      pen.lineTo(p * width, (1 - q) * height);
    }
    pen.stroke();
    pen.strokeStyle = pen.fillStyle = look.ink;
    for (const [x, y] of surface().minima.map(place)) star(pen, x, y);
    const ends = state.chosen.map(({ points, colour, title }) => {
      const there = points.slice(0, at + 1).filter((point) => point.every(Number.isFinite)).map(place);
      const gone = there.map((point) => point.map((x) => Math.min(Math.max(x, -1e4), 1e4)));
      pen.strokeStyle = pen.fillStyle = colour;
      pen.lineWidth = 2;
      pen.beginPath();
      gone.forEach(([x, y]) => pen.lineTo(x, y));
      pen.stroke();
      const [x, y] = gone.at(-1);
      disc(pen, x, y, 4.5);
      return { name: title, colour, x: Math.min(Math.max(x, 0), width), y };
    });
    const [x, y] = place(surface().start);
    pen.fillStyle = look.ground;
    pen.strokeStyle = look.ink;
    pen.lineWidth = 1.5;
    disc(pen, x, y, 4, true);
    label(pen, ends, width, height, look.ground);
  };

  const disc = (pen, x, y, radius, edge = false) => {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
    if (edge) pen.stroke();
  };

  const star = (pen, x, y) => {
    pen.lineWidth = 1.2;
    pen.beginPath();
    for (let k = 0; k <= 10; k++) {
      const radius = k % 2 ? 3 : 7.5, angle = Math.PI * (k / 5 - 0.5);
      pen.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    pen.stroke();
  };

  const drawLoss = (look, at) => {
    const { pen, width, height } = sheet(loss, look.ground);
    const found = state.chosen.flatMap(({ losses }) => losses).filter((x) => Number.isFinite(x) && x > 0).map(Math.log10);
    const begin = Math.log10(optgen.height(surface(), surface().start));
    const most = Math.ceil(Math.min(Math.max(begin, ...found), begin + 2)), least = Math.floor(Math.max(Math.min(most - 1, ...found), most - 16));
    const longest = Math.max(0, ...state.chosen.map(({ title }) => pen.measureText(title).width));
    const box = { left: 38, right: Math.max(width / 2, width - longest - 14), top: 24, bottom: height - 24 };
    const across = (step) => box.left + step / state.steps * (box.right - box.left);
    const up = (value) => {
      const power = Math.min(Math.max(Math.log10(Math.max(value, 1e-300)), least), most + 0.2);
      return box.bottom - (power - least) / (most - least) * (box.bottom - box.top);
    };
    pen.fillStyle = look.ink;
    pen.fillText("loss", 4, 10);
    pen.textAlign = "right";
    const every = Math.max(1, Math.ceil((most - least) / 6));
    for (let power = most; power >= least; power -= every) {
      const y = up(10 ** power);
      pen.fillStyle = look.faint;
      pen.fillRect(box.left, y - 0.5, box.right - box.left, 1);
      pen.fillStyle = look.ink;
      pen.fillText(`10${String(power).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻")}`, box.left - 5, y);
    }
    pen.fillText(`step ${state.steps}`, box.right, height - 10);
    pen.textAlign = "left";
    pen.fillText("0", box.left, height - 10);
    pen.fillStyle = look.line;
    pen.fillRect(across(at), box.top, 1, box.bottom - box.top);
    const ends = state.chosen.map(({ losses, colour, title }) => {
      const shown = losses.slice(0, at + 1).map((value, k) => [across(k), Number.isFinite(value) ? up(value) : box.top]);
      pen.strokeStyle = colour;
      pen.lineWidth = 2;
      pen.beginPath();
      shown.forEach(([x, y]) => pen.lineTo(x, y));
      pen.stroke();
      return { name: title, colour, x: shown.at(-1)[0], y: shown.at(-1)[1] };
    });
    label(pen, ends, width, box.bottom + 8, look.ground, true);
  };

  // Time ----------------------------------------------------------------------------------------------------------------

  const start = () => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    state.at = still ? state.steps : 0;
    state.since = still ? null : performance.now();
    draw();
    if (!still) requestAnimationFrame(move);
  };

  const move = (now) => {
    if (state.since === null) return;
    state.at = Math.min(state.steps, state.at + Math.max(0, now - state.since) / 1000 / SECONDS * state.steps);
    state.since = state.at < state.steps ? Math.max(now, state.since) : null;
    draw();
    if (state.since !== null) requestAnimationFrame(move);
  };

  play.addEventListener("click", () => {
    if (state.since !== null) {
      state.since = null;
      draw();
    } else if (state.at >= state.steps) {
      start();
    } else {
      state.since = performance.now();
      requestAnimationFrame(move);
    }
  });
  slider.addEventListener("input", () => { state.since = null; state.at = Number(slider.value); draw(); });
  stepsField.addEventListener("change", () => { state.steps = counted(stepsField.value); refresh(); });
  surfaceChoice.addEventListener("change", () => { state.surface = surfaceChoice.value; refresh(); });
  adding.addEventListener("change", () => {
    const name = adding.value;
    adding.value = "";
    if (state.chosen.some((each) => each.name === name)) return;
    state.chosen.push({ name, hypers: {} });
    refresh(state.chosen.slice(-1));
  });
  addEventListener("hashchange", recall);
  new ResizeObserver(draw).observe(root);
  new MutationObserver(draw).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
  recall();
})();
