(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Give a figure the page's colours and fonts; figures come without a theme of their own.
  function themed(source, width) {
    const figure = JSON.parse(source);
    const narrow = width < 480;
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line"), tickfont: { color: colour("muted") } };
    const heading = { font: { color: colour("muted"), size: narrow ? 11 : 12 } };
    const layout = figure.layout;
    layout.font = { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 12.5, color: colour("ink") };
    layout.hoverlabel = { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } };
    layout.xaxis = { ...layout.xaxis, ...axis, title: { ...layout.xaxis.title, ...heading }, fixedrange: true };
    layout.yaxis = { ...layout.yaxis, ...axis, fixedrange: true };
    layout.dragmode = false;
    for (const trace of figure.data) {
      if (trace.type === "heatmap") trace.colorscale = [[0, colour("heat-low")], [1, colour("heat-high")]];
      if (trace.type === "bar") trace.marker.line = { width: 0 };
      if (trace.error_x) trace.error_x.color = colour("ink");
    }
    return figure;
  }

  function draw(place) {
    if (place.offsetParent === null) return; // inside a closed <details>: drawn when it opens
    const source = document.getElementById(`figure-${place.dataset.figure}`).textContent;
    const figure = themed(source, place.clientWidth);
    Plotly.react(place, figure.data, figure.layout, { responsive: true, displayModeBar: false });
  }

  const drawAll = () => document.querySelectorAll(".plot").forEach(draw);
  document.querySelectorAll("details").forEach((item) => item.addEventListener("toggle", () => item.open && item.querySelectorAll(".plot").forEach(draw)));
  dark.addEventListener("change", drawAll);
  drawAll();
})();
