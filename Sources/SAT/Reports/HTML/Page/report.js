"use strict";
(() => {
  const page = JSON.parse(document.getElementById("report-data").textContent);
  const several = page.runs.length > 1;
  const colors = 7;
  const dashes = ["", "6 4", "2 3", "7 3 2 3"];
  const ramp = ["#00204d", "#31446b", "#666970", "#958f78", "#cbba69", "#ffea46"];
  const tableRows = 1000;

  const element = (name, attributes = {}, ...children) => {
    const result = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) result.setAttribute(key, value);
    result.append(...children);
    return result;
  };
  const shape = (name, attributes = {}, ...children) => {
    const result = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) result.setAttribute(key, value);
    result.append(...children);
    return result;
  };

  // JSON has no NaN, so such values come as words. A chart shows a gap.
  const isNumber = (v) => typeof v === "number" && Number.isFinite(v);
  const extent = (values) => values.reduce(([least, greatest], v) => (isNumber(v) ? [Math.min(least, v), Math.max(greatest, v)] : [least, greatest]), [Infinity, -Infinity]);
  const range = (count) => Array.from({ length: count }, (_, i) => i);
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
  const brief = (v, axis) => (isNumber(v) ? (axis.scale === "fraction" ? `${Number((100 * v).toPrecision(4))} %` : String(Number(v.toPrecision(5)))) : String(v));
  const nameOf = (v, axis) => (axis.words ? axis.words[v] : brief(v, axis));
  const colorAt = (t) => {
    const place = clamp(t, 0, 1) * (ramp.length - 1), i = Math.min(Math.floor(place), ramp.length - 2);
    const parts = (c) => [1, 3, 5].map((k) => parseInt(c.slice(k, k + 2), 16));
    const [a, b] = [parts(ramp[i]), parts(ramp[i + 1])];
    return `rgb(${a.map((v, k) => Math.round(v + (b[k] - v) * (place - i))).join(",")})`;
  };

  const ticks = ([low, high], count, isCount) => {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    let step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
    if (isCount) step = Math.max(1, Math.round(step));
    return range(Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1).map((i) => Number(((Math.ceil(low / step - 1e-9) + i) * step).toPrecision(12)));
  };

  // A scale maps values to pixels; `ticks` are the values to label.
  const linearScale = (domain, pixels, count, isCount) => {
    const scale = (v) => pixels[0] + ((v - domain[0]) / (domain[1] - domain[0])) * (pixels[1] - pixels[0]);
    return Object.assign(scale, { ticks: ticks(domain, count, isCount), draws: isNumber });
  };
  const logScale = (domain, pixels, count) => {
    const [low, high] = domain.map(Math.log10);
    const scale = (v) => pixels[0] + ((Math.log10(v) - low) / (high - low)) * (pixels[1] - pixels[0]);
    const exponents = ticks([low, high], count, true);
    return Object.assign(scale, { ticks: exponents.map((e) => 10 ** e), draws: (v) => isNumber(v) && v >= domain[0] });
  };
  const wordScale = (words, pixels) => {
    const width = (pixels[1] - pixels[0]) / words.length;
    return Object.assign((v) => pixels[0] + (v + 0.5) * width, { ticks: range(words.length), width });
  };

  // Equal and nearly equal values are easier to read without logarithms.
  const needsLog = (axis, values) => {
    const [least, greatest] = extent(values.filter((v) => v > 0));
    return axis.scale === "logarithmic" && greatest > 20 * least;
  };
  const domainOf = (axis, values, form) => {
    if (axis.scale === "fraction") return [0, 1];
    const isLog = needsLog(axis, values);
    let [least, greatest] = extent(isLog ? values.filter((v) => v > 0) : values);
    if (least > greatest) return [0, 1];
    // The tail of a density falls to zero, so ten decades are enough.
    if (isLog) return [Math.max(least, greatest / 1e10) / 1.3, greatest * 1.3];
    if (axis.scale === "fromZero" || form === "bars") [least, greatest] = [Math.min(0, least), Math.max(0, greatest)];
    // If all values are equal, only an axis from zero shows their size.
    if (least === greatest) return least === 0 ? [0, 1] : [Math.min(0, 2.1 * least), Math.max(0, 2.1 * least)];
    const space = 0.05 * (greatest - least);
    return [axis.scale === "fromZero" || form === "bars" ? (least < 0 ? least - space : 0) : least - space, greatest + space];
  };
  const positionsOf = (axis, values) => {
    const [least, greatest] = extent(values);
    const space = least === greatest ? 0.5 : axis.scale === "count" ? 0.02 * (greatest - least) : 0.03 * (greatest - least);
    return [least - space, greatest + space];
  };
  // The borders between the cells of a heatmap.
  const bordersOf = (p) => {
    if (p.length === 1) return [p[0] - 0.5, p[0] + 0.5];
    const inner = range(p.length - 1).map((i) => (p[i] + p[i + 1]) / 2);
    return [2 * p[0] - inner[0], ...inner, 2 * p[p.length - 1] - inner[inner.length - 1]];
  };

  const styleOf = (series) => ({
    color: `var(--c${(several ? series.run : series.role) % colors})`,
    dash: dashes[(several ? series.role + Math.floor(series.run / colors) : series.role) % dashes.length],
    // Earlier runs are wider and below, so that equal curves stay visible.
    width: several ? Math.max(2, 4.5 - 1.5 * series.run) : 2,
  });
  // The runs' points share one cloud, so colour alone is not enough.
  const pointShape = (series, x, y, size) => {
    const kind = (series.role + (several ? series.run : 0)) % 3;
    if (kind === 0) return shape("circle", { cx: x, cy: y, r: size });
    if (kind === 1) return shape("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size });
    return shape("path", { d: `M${x} ${y - 1.4 * size}L${x + 1.3 * size} ${y + size}L${x - 1.3 * size} ${y + size}Z` });
  };
  const pathOf = (points, isSteps) => {
    let path = "", before = null;
    for (const point of points) {
      if (point) path += before ? (isSteps ? `H${point[0]}V${point[1]}` : `L${point[0]} ${point[1]}`) : `M${point[0]} ${point[1]}`;
      before = point;
    }
    return path;
  };

  const drawLines = (chart, series, x, y, group) => {
    const style = styleOf(series);
    const at = (values) => values.map((v, i) => (y.draws(v) && x.draws(series.x[i]) ? [x(series.x[i]), y(v)] : null));
    const points = at(series.y);
    if (chart.form === "points") {
      const marks = shape("g", { fill: style.color, "fill-opacity": 0.6 });
      points.filter(Boolean).forEach(([px, py]) => marks.append(pointShape(series, px, py, 3)));
      return group.append(marks);
    }
    if (series.low) {
      const [low, high] = [at(series.low), at(series.high)];
      const band = range(low.length).filter((i) => low[i] && high[i]);
      const outline = [...band.map((i) => high[i]), ...band.reverse().map((i) => low[i])];
      group.append(shape("path", { d: pathOf(outline) + "Z", fill: style.color, "fill-opacity": 0.18 }));
      // One epoch has no band, so its interval is a line.
      if (low.length === 1 && low[0] && high[0]) group.append(shape("path", { d: `M${low[0]}L${high[0]}`, stroke: style.color }));
    }
    group.append(shape("path", { d: pathOf(points, chart.form === "steps"), fill: "none", stroke: style.color, "stroke-width": style.width, "stroke-dasharray": style.dash }));
    if (points.length <= 30) points.filter(Boolean).forEach(([px, py]) => group.append(shape("circle", { cx: px, cy: py, r: style.width + 1, fill: style.color })));
  };

  const drawBars = (shown, x, y, group) => {
    const numeric = !x.width;
    const width = 0.8 * (numeric ? Math.abs(x(1) - x(0)) : x.width) / shown.length;
    shown.forEach((series, k) => series.y.forEach((v, i) => {
      if (!isNumber(v)) return;
      const [left, top, style] = [x(series.x[i]) + (k - shown.length / 2) * width, Math.min(y(v), y(0)), styleOf(series)];
      group.append(shape("rect", { x: left + 0.5, y: top, width: Math.max(1, width - 1), height: Math.abs(y(v) - y(0)), fill: style.color, stroke: style.color, "fill-opacity": several && series.role % 2 ? 0.35 : 1 }));
      if (series.low) {
        const middle = left + width / 2;
        group.append(shape("path", { d: `M${middle} ${y(series.low[i])}V${y(series.high[i])}M${middle - 4} ${y(series.low[i])}h8M${middle - 4} ${y(series.high[i])}h8`, stroke: "var(--text)", fill: "none" }));
      }
    }));
  };

  const valuesOf = (chart, shown) => (chart.form === "bars" || chart.form === "lines" || chart.form === "steps")
    ? shown.flatMap((s) => [...s.y, ...(s.low || []), ...(s.high || [])]) : shown.flatMap((s) => s.y);

  // Draws a chart of two axes and returns the function that tells what is at a place.
  const drawPlane = (chart, shown, svg, width, height) => {
    const isGrid = chart.form === "heatmap", words = chart.x.words;
    const xs = shown.flatMap((s) => s.x), ys = isGrid ? shown[0].y : valuesOf(chart, shown);
    const [xb, yb] = isGrid ? [bordersOf(shown[0].x), bordersOf(shown[0].y)] : [];
    const marks = isGrid ? [] : (chart.marks || []);
    const texts = several ? [] : marks.map((m) => m.text);
    const yDomain = isGrid ? extent(yb) : domainOf(chart.y, ys, chart.form);
    const makeY = (pixels) => (!isGrid && needsLog(chart.y, ys) ? logScale : linearScale)(yDomain, pixels, 5, chart.y.scale === "count");
    const labels = makeY([0, 1]).ticks.map((v) => brief(v, chart.y));
    const left = 26 + 6.6 * Math.max(0, ...labels.map((l) => l.length));
    const longest = words ? Math.max(...words.map((w) => w.length)) : 0;
    const turned = words && longest * 6.5 > (width - left - 12) / words.length && longest > 3;
    const bottom = height - 34 - (turned ? Math.min(60, longest * 4.6) : 0), right = width - 12;
    // Words of marks that would overlap stand in different rows.
    const ends = [], rows = [];
    const xDomain = words ? null : isGrid ? extent(xb) : chart.form === "bars" ? [extent(xs)[0] - 0.5, extent(xs)[1] + 0.5] : positionsOf(chart.x, xs);
    const x = words ? wordScale(words, [left, right]) : linearScale(xDomain, [left, right], clamp(Math.floor((right - left) / (chart.x.scale === "count" ? 36 : 60)), 2, 12), chart.x.scale === "count");
    texts.forEach((text, i) => {
      const start = x(marks[i].x) + (x(marks[i].x) + 3 + 5.4 * text.length > right ? -3 - 5.4 * text.length : 3);
      let row = ends.findIndex((end) => end < start);
      if (row < 0) row = ends.length;
      ends[row] = start + 5.4 * text.length + 4;
      rows[i] = [start, row];
    });
    const top = 10 + 12 * ends.length, y = makeY([bottom, top]);
    const group = shape("g");
    y.ticks.forEach((v, i) => svg.append(
      shape("path", { class: "grid", d: `M${left} ${y(v)}H${right}` }), shape("text", { x: left - 5, y: y(v) + 4, "text-anchor": "end" }, labels[i])));
    const every = words ? Math.ceil(words.length / Math.max(1, (right - left) / (turned ? 14 : 7 * longest + 6))) : 1;
    x.ticks.forEach((v, i) => {
      if (i % every) return;
      const place = turned ? { "text-anchor": "end", transform: `translate(${x(v) + 4},${bottom + 13}) rotate(-40)` } : { "text-anchor": "middle", x: x(v), y: bottom + 15 };
      svg.append(shape("text", place, nameOf(v, chart.x)));
      if (!words && !isGrid) svg.append(shape("path", { class: "grid", d: `M${x(v)} ${top}V${bottom}` }));
    });
    svg.append(shape("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, chart.x.title),
      shape("text", { "text-anchor": "middle", transform: `translate(11,${(top + bottom) / 2}) rotate(-90)` }, chart.y.title));
    marks.forEach((mark, i) => {
      const line = shape("path", { class: "mark", d: `M${x(mark.x)} ${several ? top : 12 * rows[i][1] + 2}V${bottom}` });
      if (several) line.style.stroke = `var(--c${mark.run % colors})`;
      svg.append(line);
      if (!several) svg.append(shape("text", { class: "marks", x: rows[i][0], y: 12 * rows[i][1] + 10 }, mark.text));
    });
    const [zLow, zHigh] = isGrid ? zRange(chart) : [];
    if (isGrid) {
      shown[0].z.forEach((values, j) => values.forEach((v, i) => {
        if (!isNumber(v)) return;
        const [x0, x1, y0, y1] = [x(xb[i]), x(xb[i + 1]), y(yb[j + 1]), y(yb[j])];
        const box = { x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0) + 0.4, height: Math.abs(y1 - y0) + 0.4 };
        group.append(shape("rect", { ...box, fill: colorAt((v - zLow) / (zHigh - zLow)) }));
      }));
    } else if (chart.form === "bars") drawBars(shown, x, y, group);
    else shown.forEach((series) => drawLines(chart, series, x, y, group));
    if (chart.form === "points") {
      // The line ends with the shorter axis, because a longer line would squeeze the points into a corner.
      const [low, high] = [Math.max(xDomain[0], yDomain[0]), Math.min(xDomain[1], yDomain[1])];
      if (low < high) svg.append(shape("path", { d: `M${x(low)} ${y(low)}L${x(high)} ${y(high)}`, stroke: "var(--quiet)", "stroke-dasharray": "2 3" }));
    }
    svg.append(group);

    const nearest = (values, place) => values.reduce((best, v, i) => (Math.abs(x(v) - place) < Math.abs(x(values[best]) - place) ? i : best), 0);
    const valueText = (s, i) => brief(s.y[i], chart.y) + (s.low ? ` (${brief(s.low[i], chart.y)} to ${brief(s.high[i], chart.y)})` : "");
    return (px, py) => {
      if (!shown.length || px < left - 8 || px > right + 8) return null;
      if (isGrid) {
        const i = nearest(shown[0].x, px), j = shown[0].y.reduce((best, v, k) => (Math.abs(y(v) - py) < Math.abs(y(shown[0].y[best]) - py) ? k : best), 0);
        return { x: x(shown[0].x[i]), text: `${chart.x.title} ${brief(shown[0].x[i], chart.x)}, ${chart.y.title} ${brief(shown[0].y[j], chart.y)}\n${chart.z.title}: ${brief(shown[0].z[j][i], chart.z)}` };
      }
      if (chart.form === "points") {
        let best = null;
        shown.forEach((s) => s.x.forEach((v, i) => {
          const far = Math.hypot(x(v) - px, y(s.y[i]) - py);
          if (!best || far < best.far) best = { far, x: x(v), text: `${s.name}\n${chart.x.title}: ${brief(v, chart.x)}\n${s.panel || chart.y.title}: ${brief(s.y[i], chart.y)}` };
        }));
        return best;
      }
      const positions = [...new Set(xs)], at = positions[nearest(positions, px)];
      const lines = shown.filter((s) => s.x.includes(at)).map((s) => `${s.name}: ${valueText(s, s.x.indexOf(at))}`);
      const here = marks.filter((m) => m.x === at).map((m) => (several ? `${page.runs[m.run]}: ${m.text}` : m.text));
      return { x: x(at), line: words ? null : [top, bottom], text: [`${chart.x.title} ${nameOf(at, chart.x)}`, ...lines, ...here].join("\n") };
    };
  };

  const zRange = (chart) => {
    if (chart.z.scale === "fraction") return [0, 1];
    const [least, greatest] = extent(chart.series.flatMap((s) => s.z.flat()));
    return least < greatest ? [least, greatest] : [least - 1, least + 1];
  };

  const makePlot = (chart, series, hidden, height) => {
    const place = element("div", { class: "plot" });
    const label = `${chart.title}${series[0].panel ? `, ${series[0].panel}` : ""}. The data are in the table below.`;
    let find = null, drawnWidth = 0;
    const draw = () => {
      drawnWidth = Math.max(220, place.clientWidth);
      const svg = shape("svg", { viewBox: `0 0 ${drawnWidth} ${height}`, role: "img", "aria-label": label });
      find = drawPlane(chart, series.filter((s) => !hidden.has(s.name)), svg, drawnWidth, height);
      place.replaceChildren(svg);
    };
    const tip = element("div", { class: "tip", hidden: "" });
    const cursor = shape("path", { stroke: "var(--quiet)" });
    place.addEventListener("pointermove", (event) => {
      const box = place.getBoundingClientRect(), outer = place.closest("figure").getBoundingClientRect();
      const scale = drawnWidth / box.width;
      const found = find((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
      tip.hidden = !found;
      cursor.remove();
      if (!found) return;
      if (found.line) {
        cursor.setAttribute("d", `M${found.x} ${found.line[0]}V${found.line[1]}`);
        place.firstChild.append(cursor);
      }
      tip.textContent = found.text;
      if (!tip.isConnected) place.closest("figure").append(tip);
      const at = found.x / scale + box.left - outer.left;
      tip.style.left = `${at + 12 + tip.offsetWidth < outer.width ? at + 10 : Math.max(4, at - tip.offsetWidth - 10)}px`;
      tip.style.top = `${box.top - outer.top + 14}px`;
    });
    place.addEventListener("pointerleave", () => { tip.hidden = true; cursor.remove(); });
    new ResizeObserver(() => { if (Math.abs(place.clientWidth - drawnWidth) > 2) draw(); }).observe(place);
    return { place, draw };
  };

  // A surface in three dimensions, drawn from the back to the front.
  const makeSurface = (chart) => {
    const place = element("div", { class: "plot" }), [width, height] = [440, 330];
    const svg = shape("svg", { class: "surface", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": `${chart.title}. Arrow keys turn it. The data are in the table below.` });
    const { x, y, z } = chart.series[0], [least, greatest] = zRange(chart);
    const pick = (values) => range(values.length).filter((i) => i % Math.ceil(values.length / 60) === 0 || i === values.length - 1);
    const [columns, rows] = [pick(x), pick(y)];
    const unit = (v, [low, high]) => (high > low ? (2 * (v - low)) / (high - low) - 1 : 0);
    let [yaw, pitch] = [-0.7, 0.55];
    const draw = () => {
      const project = (a, b, c) => {
        const [u, v] = [a * Math.cos(yaw) - b * Math.sin(yaw), a * Math.sin(yaw) + b * Math.cos(yaw)];
        return [width / 2 + 130 * u, height / 2 + 8 - 130 * (v * Math.sin(pitch) + 0.75 * c * Math.cos(pitch)), v * Math.cos(pitch) - c * Math.sin(pitch)];
      };
      const at = (j, i) => project(unit(x[i], extent(x)), unit(y[j], extent(y)), unit(z[j][i], [least, greatest]));
      const faces = [];
      for (let r = 0; r + 1 < rows.length; r++) {
        for (let c = 0; c + 1 < columns.length; c++) {
          const corners = [[rows[r], columns[c]], [rows[r], columns[c + 1]], [rows[r + 1], columns[c + 1]], [rows[r + 1], columns[c]]];
          if (!corners.every(([j, i]) => isNumber(z[j][i]))) continue;
          const points = corners.map(([j, i]) => at(j, i));
          const mean = corners.reduce((sum, [j, i]) => sum + z[j][i], 0) / 4;
          faces.push({ depth: points.reduce((sum, p) => sum + p[2], 0), points, color: colorAt((mean - least) / (greatest - least)) });
        }
      }
      faces.sort((a, b) => b.depth - a.depth);
      const frame = shape("g", { class: "grid" });
      for (const [a, b] of [[[-1, -1], [1, -1]], [[1, -1], [1, 1]], [[1, 1], [-1, 1]], [[-1, 1], [-1, -1]]]) {
        const [p, q] = [project(...a, -1), project(...b, -1)];
        frame.append(shape("path", { d: `M${p[0]} ${p[1]}L${q[0]} ${q[1]}`, stroke: "var(--line)" }));
      }
      svg.replaceChildren(frame, ...faces.map((f) => shape("path", { d: `M${f.points.map((p) => `${p[0].toFixed(1)} ${p[1].toFixed(1)}`).join("L")}Z`, fill: f.color, stroke: f.color, "stroke-width": 0.6 })));
      for (const [text, a, b] of [[chart.x.title, 0, -1.25], [chart.y.title, 1.25, 0]]) {
        const [px, py] = project(a, b, -1);
        svg.append(shape("text", { x: clamp(px, 50, width - 50), y: clamp(py, 12, height - 6), "text-anchor": "middle" }, text));
      }
    };
    const turn = (dx, dy) => { yaw += dx; pitch = clamp(pitch + dy, 0.05, 1.5); draw(); };
    svg.addEventListener("pointerdown", (event) => svg.setPointerCapture(event.pointerId));
    svg.addEventListener("pointermove", (event) => { if (svg.hasPointerCapture(event.pointerId)) turn(event.movementX / 120, event.movementY / 160); });
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
      if (move) { event.preventDefault(); turn(...move); }
    });
    place.append(svg);
    return { place, draw };
  };

  const legend = (chart, hidden, redraw) => {
    const names = [...new Map(chart.series.map((s) => [s.name, s])).values()];
    return element("ul", { class: "legend", "aria-label": "Curves" }, ...names.map((series) => {
      const style = styleOf(series);
      const sample = chart.form === "points" ? pointShape(series, 12, 5, 4) : chart.form === "bars" ? shape("rect", { x: 6, y: 0, width: 12, height: 10, "fill-opacity": several && series.role % 2 ? 0.35 : 1 })
        : shape("path", { d: "M0 5H24", stroke: style.color, "stroke-width": 2.5, "stroke-dasharray": style.dash });
      sample.setAttribute("fill", style.color);
      const button = element("button", { type: "button", "aria-pressed": "true" }, shape("svg", { viewBox: "0 0 24 10", "aria-hidden": "true" }, sample), series.name);
      button.addEventListener("click", () => {
        if (!hidden.delete(series.name)) hidden.add(series.name);
        button.setAttribute("aria-pressed", String(!hidden.has(series.name)));
        redraw();
      });
      return element("li", {}, button);
    }));
  };

  // The same as Chart.csv in Swift.
  const rowsOf = (chart) => {
    const [interval, panels] = [chart.series.some((s) => s.low), chart.series.some((s) => s.panel)];
    const rows = [["series", ...(panels ? ["panel"] : []), chart.x.column, chart.y.column, ...(chart.z ? [chart.z.column] : []), ...(interval ? ["low", "high"] : [])]];
    for (const s of chart.series) {
      const names = [s.name, ...(panels ? [s.panel || ""] : [])];
      if (s.z) s.z.forEach((values, i) => values.forEach((v, j) => rows.push([...names, s.x[j], s.y[i], v])));
      else s.y.forEach((v, i) => rows.push([...names, chart.x.words ? chart.x.words[s.x[i]] : s.x[i], v, ...(interval ? [s.low ? s.low[i] : "", s.high ? s.high[i] : ""] : [])]));
    }
    return rows;
  };
  const field = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replace(/"/g, '""')}"` : String(value));

  const dataOf = (chart) => {
    const rows = rowsOf(chart), name = `${chart.id}.csv`;
    const csv = rows.map((row) => row.map(field).join(",") + "\n").join("");
    const link = element("a", { download: name, href: URL.createObjectURL(new Blob([csv], { type: "text/csv" })) }, name);
    const details = element("details", {}, element("summary", { "aria-label": `Data of ${chart.title}` }, "Data"), element("p", {}, link));
    details.addEventListener("toggle", () => {
      const line = (row, kind, attributes) => element("tr", {}, ...row.map((value) => element(kind, attributes, String(value))));
      const table = element("table", {}, element("thead", {}, line(rows[0], "th", { scope: "col" })), element("tbody", {}, ...rows.slice(1, tableRows + 1).map((row) => line(row, "td", {}))));
      details.append(element("div", { class: "scroll", role: "region", "aria-label": name, tabindex: 0 }, table));
      if (rows.length > tableRows + 1) details.append(element("p", {}, `The first ${tableRows} of ${rows.length - 1} rows; the CSV file has all.`));
    }, { once: true });
    return details;
  };

  const prose = (text) => text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));

  const addChart = (chart, parent) => {
    const figure = element("figure", { id: chart.id }, element("h3", {}, chart.title));
    const panels = [...new Set(chart.series.map((s) => s.panel))], hidden = new Set();
    let plots;
    if (chart.form === "surface") plots = [makeSurface(chart)];
    else plots = panels.map((panel) => makePlot(chart, chart.series.filter((s) => s.panel === panel), hidden, panel ? 190 : 260));
    if (panels.length > 1) {
      figure.classList.add("wide");
      figure.append(element("div", { class: "panels" }, ...plots.map(({ place }, i) => element("div", {}, element("h4", {}, panels[i]), place))));
    } else figure.append(plots[0].place);
    const draw = () => plots.forEach((plot) => plot.draw());
    if (chart.z) {
      const [least, greatest] = zRange(chart);
      figure.append(element("div", { class: "scale" }, `${chart.z.title} ${brief(least, chart.z)}`, element("i"), brief(greatest, chart.z)));
    } else if (new Set(chart.series.map((s) => s.name)).size > 1) figure.append(legend(chart, hidden, draw));
    if (chart.note) figure.append(element("figcaption", {}, ...prose(chart.note)));
    figure.append(dataOf(chart));
    parent.append(figure);
    draw();
    figure.dataset.drawn = "yes";
  };

  const picture = (set, base64, label) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const canvas = element("canvas", { width: set.width, height: set.height, role: "img", "aria-label": label });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(set.width, set.height);
    for (let i = 0; i < set.width * set.height; i++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = bytes[set.channels * i + (set.channels === 1 ? 0 : c)];
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  };

  const addImages = ({ title, note, examples: set }, parent) => {
    const row = (name, cells) => element("tr", {}, element("th", { scope: "row" }, name), ...set.examples.map((example, i) => cells(example, i)));
    const cell = (attributes, ...children) => element("td", attributes, ...children);
    const pictures = (key, name) => row(name, (example, i) => cell({}, picture(set, example[key], `${name} of image ${i + 1}, class ${example.label}`)));
    const answer = (name, k) => row(name, (e) => cell(e.answers[k] === e.label ? {} : { class: "wrong" },
      `${e.answers[k]}${e.answers[k] === e.label ? "" : " ✗"}`, element("small", {}, `${(100 * e.confidence[k]).toFixed(1)} %`)));
    const knows = set.examples.every((e) => e.answers && e.confidence);
    const table = element("table", {}, element("tbody", {},
      row("true class", (e) => cell({}, String(e.label))),
      pictures("original", "original"), ...(knows ? [answer("answer before", 0)] : []),
      pictures("adversarial", "attacked"), ...(knows ? [answer("answer after", 1)] : []),
      pictures("difference", "change"), row("largest change", (e) => cell({}, String(Number(e.change.toPrecision(3)))))));
    parent.append(element("figure", {}, element("h3", {}, title), element("figcaption", {}, note + (knows ? " The answers have the network's confidence." : "")),
      element("div", { class: "scroll", role: "region", "aria-label": title, tabindex: 0 }, table)));
  };

  const addCopyButton = (code) => {
    const button = element("button", { type: "button", class: "copy", "aria-label": "Copy the command" }, "Copy");
    button.addEventListener("click", () => {
      const done = () => { button.textContent = "Copied"; };
      const select = () => { getSelection().selectAllChildren(code); if (document.execCommand("copy")) done(); };
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select); else select();
    });
    code.after(button);
    // A line breaks between the words of a command, not at its hyphens.
    code.replaceChildren(...code.textContent.split(" ").flatMap((word, i) => [i ? " " : "", element("span", {}, word)]));
  };

  const charts = new Map(page.charts.map((chart) => [chart.id, chart]));
  document.querySelectorAll("[data-charts]").forEach((place) => place.dataset.charts.split(" ").forEach((id) => addChart(charts.get(id), place)));
  document.querySelectorAll("[data-images]").forEach((place) => addImages(page.images[Number(place.dataset.images)], place));
  document.querySelectorAll(".commands code").forEach(addCopyButton);
  document.documentElement.dataset.ready = "yes";
})();
