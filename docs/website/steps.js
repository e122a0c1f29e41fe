// What rules that are printed as JavaScript are made of, and how a model of a few tensors takes steps by them.
"use strict";

const optgen = { rules: {}, surfaces: {} };

(() => {
  const power = (base, exponent) => exponent === 0 ? 1 : base ** exponent;
  const expm1 = Math.expm1;

  const langevin = (y) => { // coth(y) - 1/y for y from 0 to 1
    let below = 19;
    for (let odd = 17; odd > 1; odd -= 2) below = odd + y * y / below;
    return y / below;
  };

  const library = {
    abs: Math.abs, atan2: Math.atan2, ceil: Math.ceil, cos: Math.cos, exp: Math.exp, expm1, floor: Math.floor,
    log: Math.log, log1p: Math.log1p, maximum: Math.max, minimum: Math.min, sign: Math.sign, sin: Math.sin,
    sqrt: Math.sqrt, tan: Math.tan, tanh: Math.tanh, power,
    finite: (x) => Number(Number.isFinite(x)),
    fma: (a, b, c) => a * b + c,
    head: Math.fround,
    mod: (a, b) => a - b * Math.floor(a / b),
    powm1: (b, x) => b > 0 ? expm1(x * Math.log(b)) : power(b, x) - 1,
    shrunk: (x) => Math.abs(x) > 2 ** 400 ? x * 2 ** -540 : 0,
    stretched: (x) => Math.abs(x) < 2 ** -400 ? x * 2 ** 540 : 0,
    tail: (x) => x - Math.fround(x),
    times: (a, b) => a * b,
    root_of_squares(squares, ofShrunk, ofStretched) {
      if (squares > 2 ** 1000 && ofShrunk > 0) return Math.sqrt(ofShrunk) * 2 ** 540;
      if (squares < 2 ** -900 && ofStretched > 0) return Math.sqrt(ofStretched) / 2 ** 540;
      return Math.sqrt(squares);
    },
    mean_age(t, beta, less) {
      const x = beta > 0 ? -Math.log(beta) : Infinity;
      const beyond = t * x > 2
        ? (2.5 * beta - 1.5) / (1 - beta) + t * power(beta, t) / expm1(-t * x)
        : (langevin(x / 2) + (t - 4 - t * langevin(t * x / 2))) / 2;
      return beyond + (2.5 - less);
    },
  };

  // The four words of a counter of Philox4x32-10 under a key of two words.
  const philox = (counter, key) => {
    let [a, b, c, d] = counter.map(BigInt), [k, l] = key;
    const low = (x) => x & 0xFFFFFFFFn;
    for (let round = 0; round < 10; round++) {
      const one = 0xD2511F53n * a, other = 0xCD9E8D57n * c;
      [a, b, c, d] = [(other >> 32n) ^ b ^ k, low(other), (one >> 32n) ^ d ^ l, low(one)];
      [k, l] = [low(k + 0x9E3779B9n), low(l + 0xBB67AE85n)];
    }
    return [a, b, c, d].map(Number);
  };

  // Where every element, row, column, matrix and tensor of a model is, and what else a step by a rule takes.
  const layout = (shapes) => {
    const within = { element: [], row: [], column: [], matrix: [], tensor: [], model: [{ model: 0 }] };
    const $ = { ...library, numel: [], n_rows: [], n_cols: [] };
    shapes.forEach((shape, tensor) => {
      const columns = shape.at(-1) ?? 1, rows = shape.at(-2) ?? 1, count = shape.reduce((a, b) => a * b, 1);
      for (const [name, size] of [["numel", count], ["n_rows", rows], ["n_cols", columns]]) $[name].push(size);
      within.tensor.push({ tensor, model: 0 });
      for (let stack = 0, first = 0; stack < count / (rows * columns); stack++) {
        const matrix = within.matrix.push({}) - 1, above = { matrix, tensor, model: 0 };
        const firstRow = within.row.length, firstColumn = within.column.length;
        for (let row = 0; row < rows; row++) within.row.push({ row: firstRow + row, ...above });
        for (let column = 0; column < columns; column++) within.column.push({ column: firstColumn + column, ...above });
        for (let k = 0; k < rows * columns; k++) {
          const row = firstRow + Math.floor(k / columns), column = firstColumn + k % columns;
          within.element.push({ row, column, ...above, index: first++ });
        }
      }
    });
    $.count = (space) => within[space].length;
    $.in = (space, larger, i) => within[space][i][larger];
    $.filled = (space, made) => Float64Array.from(within[space], (_, i) => made(i));
    $.total = (how, space, made) => {
      const found = $.filled(space, () => how === "max" ? -Infinity : 0), counts = $.filled(space, () => 0);
      within.element.forEach((at, i) => {
        const value = made(i), place = at[space];
        found[place] = how === "max" ? Math.max(found[place], value) : found[place] + value * (how === "norm" ? value : 1);
        counts[place]++;
      });
      return { norm: found.map(Math.sqrt), mean: found.map((sum, k) => sum / counts[k]) }[how] ?? found;
    };
    $.normal = (seed, stream, t, i) => {
      const { index, tensor } = within.element[i], bits = BigInt.asUintN(64, BigInt(seed));
      const words = philox([Math.floor(index / 4), tensor, t, stream * 2 ** 16], [bits & 0xFFFFFFFFn, bits >> 32n]);
      const [one, other] = index % 4 < 2 ? words : words.slice(2);
      const turn = 2 * Math.PI * (other + 0.5) / 2 ** 32;
      return Math.sqrt(-2 * Math.log((one + 0.5) / 2 ** 32)) * (index % 2 ? Math.sin(turn) : Math.cos(turn));
    };
    return $;
  };

  // All hyperparameters of a rule, of which some are given.
  optgen.completed = (rule, hypers) => {
    const usual = Object.entries(rule.hypers).map(([name, { usual }]) => [name, usual]);
    const given = { ...Object.fromEntries(usual), ...hypers };
    return { ...given, ...rule.follow(given), ...hypers };
  };

  // A model whose parameters are theta, one number after another; its step takes the gradient in the same order.
  optgen.model = (rule, shapes, theta, hypers = {}) => {
    const $ = layout(shapes), $v = { theta: Float64Array.from(theta) }, given = optgen.completed(rule, hypers);
    rule.start($, $v, given);
    let t = 0;
    return {
      theta: $v.theta,
      step(gradient) {
        $v.g = Float64Array.from(gradient);
        rule.step($, $v, ++t, given);
      },
    };
  };

  // The points of a path on a surface: one tensor of two numbers.
  optgen.path = (rule, surface, steps, hypers) => {
    const model = optgen.model(rule, [[2]], surface.start, hypers), points = [[...surface.start]];
    for (let k = 0; k < steps; k++) {
      model.step(surface.gradient(library, ...model.theta));
      points.push([...model.theta]);
    }
    return points;
  };

  optgen.height = (surface, [x, y]) => surface.value(library, x, y);
})();
