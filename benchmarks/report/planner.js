"use strict";
/* The planner: kv_capacity_ttpt and the formulas of results/capacity.h, over the measured points in the form's data. */
(() => {
  const form = document.getElementById("planner");
  if (!form)
    return;
  const plan = JSON.parse(form.dataset.plan);

  const between = (x, x0, y0, x1, y1) => x1 > x0 ? y0 + (y1 - y0) * (x - x0) / (x1 - x0) : y0;

  /* Points [batch, context, ms] of one batch, ascending; NaN outside of them. */
  function atContext(points, context) {
    const i = points.findIndex(p => p[1] >= context);
    if (i >= 0 && points[i][1] === context)
      return points[i][2];
    return i > 0 ? between(context, points[i - 1][1], points[i - 1][2], points[i][1], points[i][2]) : NaN;
  }

  function time(arm, batch, context) {
    let below = null;
    for (const here of [...new Set(arm.points.map(p => p[0]))]) {
      const ms = atContext(arm.points.filter(p => p[0] === here), context);
      if (Number.isNaN(ms))
        continue;
      if (here === batch)
        return ms;
      if (here > batch)
        return below ? between(batch, below[0], below[1], here, ms) : NaN;
      below = [here, ms];
    }
    return NaN;
  }

  const digits = x => Number(x.toPrecision(3)).toLocaleString("en");
  const known = (...values) => values.every(x => x !== null);

  function timeText(arm, batch, context) {
    const ms = time(arm, batch, context);
    if (Number.isNaN(ms))
      return "not measured there, and not guessed";
    const measured = arm.points.some(p => p[0] === batch && p[1] === context);
    return `${digits(ms)} ms a token, ${digits(1000 * batch / ms)} tokens/s in all ` +
      `(${measured ? "measured" : "interpolated"})`;
  }

  function memoryText(arm, batch, context) {
    if (!known(arm.weights, arm.kv))
      return "unknown";
    const GiB = 2 ** 30, cache = batch * context * arm.kv, all = arm.weights + arm.rest + cache;
    const of = !known(plan.memory) ? " GiB"
      : all > plan.memory ? ` GiB, more than the ${digits(plan.memory / GiB)} there are`
      : ` of ${digits(plan.memory / GiB)} GiB`;
    return `${digits(all / GiB)}${of}, ${digits(cache / GiB)} for the cache (by formula)`;
  }

  function limitText(arm, batch, context) {
    if (known(arm.weights, arm.kv, plan.memory) && arm.weights + arm.rest + batch * context * arm.kv > plan.memory)
      return "memory capacity: it does not fit";
    if (!known(arm.weights, arm.kv, arm.flops_token, arm.bytes_per_s, arm.flops_per_s))
      return "unknown";
    const read = 1000 * (arm.weights + batch * context * arm.kv) / arm.bytes_per_s;
    const compute = 1000 * batch * (arm.flops_token + context * arm.flops_position) / arm.flops_per_s;
    return `${read >= compute ? "memory bandwidth" : "arithmetic"}: reading takes ${digits(read)} ms at least, ` +
      `arithmetic ${digits(compute)} ms`;
  }

  function show() {
    const arm = plan.arms[form.elements.arm.value];
    const batch = Number(form.elements.batch.value), context = Number(form.elements.context.value);
    const good = Number.isInteger(batch) && Number.isInteger(context) && batch > 0 && context > 0;
    for (const [name, text] of [["time", timeText], ["memory", memoryText], ["limit", limitText]])
      form.elements[name].value = good ? text(arm, batch, context) : "batch and context are whole numbers from 1";
  }

  plan.arms.forEach((arm, i) => form.elements.arm.add(new Option(arm.name, i)));
  if (plan.window !== null)
    form.elements.context.max = plan.window;
  form.addEventListener("input", show);
  form.addEventListener("submit", event => event.preventDefault());
  form.hidden = false;
  show();
})();
