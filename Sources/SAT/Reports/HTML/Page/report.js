"use strict";
(() => {
  const page = JSON.parse(document.getElementById("report-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const several = page.runs.length > 1;
  const tableRows = 1000;
  const unusedButtons = ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetCameraLastSave3d", "tableRotation", "orbitRotation"];

  // Okabe and Ito's colours, which suit any colour vision; lighter colours of the same hues on a dark background.
  const palettes = {
    light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07a00", "#56b4e9", "#555555"],
    dark: ["#5ab4f0", "#ff8c42", "#2fd3a0", "#e9a3cb", "#f5c04a", "#9ad8ff", "#c8c8c8"],
  };
  const dashes = ["solid", "dash", "dot", "dashdot"];
  const patterns = ["", "/", ".", "x"];
  const symbols = ["circle", "square", "diamond", "x"];

  // JSON has no NaN, so such values come as words. A chart shows a gap.
  const drawable = (values) => values.map((v) => (typeof v === "number" && Number.isFinite(v) ? v : null));
  const extent = (values) => values.reduce(
    ({ least, greatest }, v) => (typeof v === "number" && Number.isFinite(v) ? { least: Math.min(least, v), greatest: Math.max(greatest, v) } : { least, greatest }),
    { least: Infinity, greatest: -Infinity });
  // Plotly interprets tags such as <b>, but names must appear unchanged.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const theme = (print) => {
    const isDark = dark.matches && !print;
    return {
      colors: palettes[isDark ? "dark" : "light"],
      text: isDark ? "#e7ebef" : "#1c2127",
      grid: isDark ? "#37404a" : "#dde2e7",
      panel: print ? "#ffffff" : isDark ? "#1c2229" : "#f6f8fa",
    };
  };

  const axis = (axis, values, look) => {
    const result = { title: { text: plain(axis.title), standoff: 8 }, gridcolor: look.grid, zerolinecolor: look.grid, linecolor: look.grid, automargin: true };
    if (axis.isFraction) result.tickformat = ".0%";
    if (!axis.isLogarithmic) return result;
    result.type = "log";
    result.exponentformat = "power";
    // The tail of a density falls to zero, so ten decades are enough.
    const { least, greatest } = extent(values.filter((v) => v > 0));
    const top = Math.log10(greatest);
    if (top - Math.log10(least) > 10) result.range = [top - 10, top + 0.3];
    return result;
  };

  // If all values are equal, only an axis from zero shows their size.
  const flatRange = (values) => {
    const { least, greatest } = extent(values);
    if (least !== greatest) return {};
    return { range: least === 0 ? [-0.05, 1.05] : [Math.min(0, 2.1 * least), Math.max(0, 2.1 * least)] };
  };

  // Whole numbers have no ticks between them.
  const counting = (values) => {
    const { least, greatest } = extent(values);
    return greatest - least <= 12 ? { dtick: 1 } : { nticks: 10, tickformat: "d" };
  };

  const lineTraces = (chart, series, style) => {
    const y = drawable(series.y);
    const trace = {
      type: "scatter", name: plain(series.name), x: series.x, y,
      mode: chart.form === "points" ? "markers" : y.length <= 30 ? "lines+markers" : "lines",
      line: { color: style.color, dash: style.dash, width: style.width, shape: chart.form === "steps" ? "hv" : "linear" },
      marker: { color: style.color, symbol: style.symbol, size: 6, opacity: chart.form === "points" ? 0.65 : 1 },
    };
    if (!series.low) return [trace];
    const edge = { type: "scatter", mode: "lines", x: series.x, line: { width: 0 }, showlegend: false, hoverinfo: "skip" };
    return [
      { ...edge, y: drawable(series.low) },
      { ...edge, y: drawable(series.high), fill: "tonexty", fillcolor: style.color + "33" }, trace,
    ];
  };

  const barTrace = (series, style) => {
    const trace = {
      type: "bar", name: plain(series.name), x: series.x, y: drawable(series.y),
      marker: { color: style.color, pattern: { shape: style.pattern, fgcolor: style.ground, fillmode: "overlay", solidity: 0.25 } },
    };
    if (series.low) {
      trace.error_y = {
        type: "data", symmetric: false, color: style.text, thickness: 1.2,
        array: series.high.map((v, i) => v - series.y[i]), arrayminus: series.low.map((v, i) => series.y[i] - v),
      };
    }
    return trace;
  };

  const gridTrace = (chart, series, look) => ({
    type: chart.form, x: series.x, y: series.y, z: series.z.map(drawable), colorscale: "Cividis", name: plain(series.name),
    colorbar: {
      title: { text: plain(chart.z.title), side: "right" }, thickness: 12, len: chart.form === "surface" ? 0.7 : 1, tickfont: { color: look.text },
      ...(chart.z.isFraction ? { tickformat: ".0%" } : {}),
    },
    ...(chart.z.isFraction && chart.form === "heatmap" ? { zmin: 0, zmax: 1 } : {}),
  });

  const diagonal = (chart, look) => {
    // The line ends with the shorter axis, because a longer line would squeeze the points into a corner.
    const [x, y] = [extent(chart.series.flatMap((s) => s.x)), extent(chart.series.flatMap((s) => s.y))];
    const [least, greatest] = [Math.max(x.least, y.least), Math.min(x.greatest, y.greatest)];
    const ends = least <= greatest ? [least, greatest] : [];
    return {
      type: "scatter", mode: "lines", name: "equal", x: ends, y: ends, line: { color: look.text, dash: "dot", width: 1 }, hoverinfo: "skip",
    };
  };

  const printWidth = 335;

  // Rows of names below a chart. Plotly gives each name the width of the longest.
  const legendRows = (chart, width) => {
    if (chart.form === "heatmap" || chart.form === "surface") return 0;
    const longest = Math.max(...chart.series.map((s) => s.name.length));
    return Math.ceil(chart.series.length / Math.max(1, Math.floor((width - 60) / (6.2 * longest + 55))));
  };

  const figureOf = (chart, print) => {
    const look = theme(print);
    const isGrid = chart.form === "heatmap" || chart.form === "surface";
    const traces = chart.series.flatMap((series) => {
      const pick = several ? series.run : series.role;
      const style = {
        color: look.colors[pick % look.colors.length], text: look.text, ground: look.panel,
        dash: dashes[(several ? series.role + Math.floor(series.run / look.colors.length) : series.role) % dashes.length],
        // Earlier runs are wider and below, so that equal curves stay visible.
        width: several ? Math.max(2, 4.5 - 1.5 * series.run) : 2,
        // The runs' points share one cloud, so colour alone is not enough.
        symbol: symbols[(series.role + (several && chart.form === "points" ? series.run : 0)) % symbols.length], pattern: patterns[series.role % patterns.length],
      };
      if (isGrid) return [gridTrace(chart, series, look)];
      return chart.form === "bars" ? [barTrace(series, style)] : lineTraces(chart, series, style);
    });
    if (chart.hasDiagonal) traces.push(diagonal(chart, look));
    const layout = {
      font: { color: look.text, size: 12 }, paper_bgcolor: look.panel, plot_bgcolor: look.panel, margin: { l: 55, r: 12, t: 30, b: 45 },
      hoverlabel: { namelength: -1 }, showlegend: !isGrid && (chart.series.length > 1 || chart.hasDiagonal === true),
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, traceorder: "normal", font: { size: 11 } }, barmode: "group", autosize: !print,
    };
    if (print) Object.assign(layout, { width: printWidth, height: 260 + 17 * Math.max(0, legendRows(chart, printWidth) - 2) });
    if (chart.form === "surface") {
      const scene = (a) => ({ title: { text: plain(a.title) }, gridcolor: look.grid, color: look.text });
      layout.scene = { xaxis: scene(chart.x), yaxis: scene(chart.y), zaxis: scene(chart.z), aspectmode: "cube", camera: { eye: { x: 1.55, y: 1.55, z: 0.95 }, center: { x: 0, y: 0, z: -0.15 } } };
      layout.margin = { l: 0, r: 0, t: 0, b: 0 };
    } else {
      layout.xaxis = axis(chart.x, chart.series.flatMap((s) => s.x), look);
      layout.yaxis = axis(chart.y, chart.series.flatMap((s) => s.y), look);
      const isWords = chart.series.some((s) => typeof s.x[0] === "string");
      if (isWords) Object.assign(layout.xaxis, { type: "category" });
      if (chart.x.isCount) Object.assign(layout.xaxis, counting(chart.series.flatMap((s) => s.x)));
      if (chart.y.isCount) Object.assign(layout.yaxis, counting(chart.series.flatMap((s) => s.y)));
      if (!isGrid && !chart.y.isLogarithmic) Object.assign(layout.yaxis, flatRange(chart.series.flatMap((s) => s.y)));
      if (chart.form === "bars" || chart.y.startsAtZero) layout.yaxis.rangemode = "tozero";
      if (chart.y.isFraction) layout.yaxis.range = [0, 1.02];
    }
    return { traces, layout };
  };

  const draw = (chart, print = false) => {
    const place = document.querySelector(`#${chart.id} .plot`);
    place.classList.toggle("tall", chart.form === "surface");
    const rows = legendRows(chart, place.clientWidth);
    if (rows > 2) place.style.height = `${19 + 1.2 * (rows - 2)}rem`;
    const { traces, layout } = figureOf(chart, print);
    const failed = (error) => {
      place.classList.add("failed");
      place.textContent = `This browser could not draw the chart (${error.message || error}); its data are below.`;
    };
    try {
      return Plotly.react(place, traces, layout, { responsive: true, displaylogo: false, modeBarButtonsToRemove: unusedButtons })
        .then(() => { place.dataset.drawn = "yes"; }).catch(failed);
    } catch (error) { return failed(error); }
  };

  // The same as Chart.csv in Swift.
  const rowsOf = (chart) => {
    const interval = chart.series.some((s) => s.low);
    const rows = [["series", chart.x.column, chart.y.column, ...(chart.z ? [chart.z.column] : []), ...(interval ? ["low", "high"] : [])]];
    for (const s of chart.series) {
      if (s.z) s.z.forEach((values, i) => values.forEach((v, j) => rows.push([s.name, s.x[j], s.y[i], v])));
      else s.y.forEach((v, i) => rows.push([s.name, s.x[i], v, ...(interval ? [s.low ? s.low[i] : "", s.high ? s.high[i] : ""] : [])]));
    }
    return rows;
  };
  const field = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replace(/"/g, '""')}"` : String(value));

  const element = (name, text, attributes = {}) => {
    const result = Object.assign(document.createElement(name), attributes);
    if (text !== null) result.textContent = text;
    return result;
  };

  const fillTable = (place, rows) => {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    rows[0].forEach((name) => head.append(element("th", name, { scope: "col" })));
    const body = table.createTBody();
    for (const row of rows.slice(1, tableRows + 1)) {
      const line = body.insertRow();
      row.forEach((value) => line.append(element("td", String(value))));
    }
    place.append(table);
    if (rows.length > tableRows + 1) place.append(element("p", `The first ${tableRows} of ${rows.length - 1} rows; the CSV file has all.`));
  };

  const addData = (chart) => {
    const figure = document.getElementById(chart.id);
    const rows = rowsOf(chart);
    const csv = rows.map((row) => row.map(field).join(",") + "\n").join("");
    figure.querySelector("a.csv").href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
    const details = figure.querySelector("details");
    details.addEventListener("toggle", () => fillTable(details.querySelector(".scroll"), rows), { once: true });
  };

  const picture = (set, base64, label) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const canvas = element("canvas", null, { width: set.width, height: set.height, role: "img", ariaLabel: label });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(set.width, set.height);
    for (let i = 0; i < set.width * set.height; i++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = bytes[set.channels * i + (set.channels === 1 ? 0 : c)];
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  };

  const drawImages = ({ id, examples: set }) => {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    head.append(element("th", ""));
    set.examples.forEach((example) => head.append(element("th", `class ${example.label}`, { scope: "col" })));
    const body = table.createTBody();
    for (const [key, title] of [["original", "original"], ["adversarial", "adversarial"], ["difference", "change"]]) {
      const row = body.insertRow();
      row.append(element("th", title, { scope: "row" }));
      set.examples.forEach((example, i) => {
        row.insertCell().append(picture(set, example[key], `${title} of image ${i + 1}, class ${example.label}`));
      });
    }
    const row = body.insertRow();
    row.append(element("th", "largest change", { scope: "row" }));
    set.examples.forEach((example) => row.insertCell().append(String(Number(example.change.toPrecision(3)))));
    document.getElementById(id).append(table);
  };

  const drawAll = (print) => Promise.all(page.charts.map((chart) => draw(chart, print)));

  page.charts.forEach(addData);
  page.images.forEach(drawImages);
  drawAll(false).then(() => { document.documentElement.dataset.ready = "yes"; });
  dark.addEventListener("change", () => drawAll(false));
  window.addEventListener("beforeprint", () => drawAll(true));
  window.addEventListener("afterprint", () => drawAll(false));
})();
