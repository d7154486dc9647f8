"use strict";
// Shows the values under the pointer. The page is complete without this script.
for (const svg of document.querySelectorAll(".chart svg")) {
  const axis = text => {
    const [low, high, start, end, kind] = text.split(" ").map((part, i) => (i < 4 ? Number(part) : part));
    const log = kind === "log";
    return {kind, start, end, value: at => {
      const share = (at - start) / (end - start);
      return log ? low * (high / low) ** share : low + share * (high - low);
    }};
  };
  const x = axis(svg.dataset.x), y = axis(svg.dataset.y);
  const show = v => y.kind === "percent" ? (100 * v).toFixed(1) + " %" : Number(v.toPrecision(4)).toString();
  const series = [...svg.querySelectorAll(".series")].map(group => ({
    role: group.classList[1],
    points: [
      ...[...group.querySelectorAll(".mean")].flatMap(line => [...line.points].map(p => [p.x, p.y])),
      ...[...group.querySelectorAll(".dot")].map(dot => [dot.cx.baseVal.value, dot.cy.baseVal.value]),
    ].sort((a, b) => a[0] - b[0]),
  }));
  const names = new Map([...svg.parentNode.querySelectorAll(".legend li")].map(li => [li.className, li.textContent]));
  const cursor = document.createElementNS(svg.namespaceURI, "line");
  const tip = document.createElement("div");
  cursor.setAttribute("class", "cursor");
  tip.className = "tip";
  const leave = () => { cursor.remove(); tip.remove(); };
  svg.addEventListener("pointermove", event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    if (at < x.start || at > x.end) return leave();
    const place = Math.round(x.value(at) * (svg.dataset.unit === "epoch" ? 10 : 1)) / (svg.dataset.unit === "epoch" ? 10 : 1);
    tip.textContent = `${svg.dataset.unit} ${place.toLocaleString("en")}`;
    for (const {role, points} of series) {
      if (!points.length) continue;
      const near = points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
      const row = document.createElement("div"), mark = document.createElement("b");
      row.className = role;
      mark.textContent = "● ";
      row.append(mark, `${names.get(role) ?? ""} ${show(y.value(near[1]))}`.trim());
      tip.append(row);
    }
    for (const [name, value] of [["x1", at], ["x2", at], ["y1", y.end], ["y2", y.start]]) cursor.setAttribute(name, value);
    svg.append(cursor);
    svg.parentNode.append(tip);
    const box = svg.parentNode.getBoundingClientRect();
    const left = event.clientX - box.left, wide = tip.offsetWidth;
    tip.style.left = `${left + wide + 24 > box.width ? left - wide - 14 : left + 14}px`;
    tip.style.top = `${Math.max(0, event.clientY - box.top - tip.offsetHeight - 10)}px`;
  });
  svg.addEventListener("pointerleave", leave);
}
