// The charts, the theme and the index of a report. uPlot comes before this script.
(function () {
  "use strict";
  var root = document.documentElement;
  var charts = [];

  // --- theme ---------------------------------------------------------------------------------
  var wants = window.matchMedia("(prefers-color-scheme: dark)");
  var button = document.getElementById("theme");
  function dark() { return root.dataset.theme === "dark"; }
  function paint(theme) {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", button.textContent + " theme");
    charts.forEach(function (chart) { chart.paint(); });
  }
  paint(wants.matches ? "dark" : "light");
  wants.addEventListener("change", function () { paint(wants.matches ? "dark" : "light"); });
  button.addEventListener("click", function () { paint(dark() ? "light" : "dark"); });
  function css(name) { return getComputedStyle(root).getPropertyValue(name).trim(); }

  // --- words ---------------------------------------------------------------------------------
  function number(v) {
    if (v === null || v === undefined || !isFinite(v)) return "";
    if (v === 0) return "0";
    var a = Math.abs(v);
    if (a >= 1e6 || a < 1e-3) return v.toExponential(2).replace("e+", "e").replace("-", "\u2212");
    var said = a >= 1000 ? Math.round(v).toLocaleString("en-US") : String(+v.toPrecision(4));
    return said.replace("-", "\u2212");
  }
  function tick(v) {
    if (v === null) return "";
    var a = Math.abs(v);
    if (a >= 1e6 || (a > 0 && a < 1e-3)) return v.toExponential().replace("e+", "e").replace(/(\.\d{2})\d+/, "$1");
    if (a >= 1e4) return +(v / 1000).toPrecision(4) + "k";
    return String(+v.toPrecision(6));
  }

  // Zero, and powers of ten on both sides of it, eight at most.
  function decades(low, high, linear) {
    var first = Math.ceil(Math.log10(linear) - 1e-9), last = Math.floor(Math.log10(Math.max(high, -low)) + 1e-9);
    var stride = Math.max(1, Math.ceil((last - first + 1) / (low < -linear ? 4 : 8))), out = [0];
    for (var k = first; k <= last; k += stride) out.push(Math.pow(10, k), -Math.pow(10, k));
    return out.filter(function (v) { return v >= low && v <= high; }).sort(function (a, b) { return a - b; });
  }

  // --- a chart -------------------------------------------------------------------------------
  function Chart(box) {
    this.box = box;
    this.facts = JSON.parse(document.getElementById(box.dataset.from).textContent);
    this.frame = box.parentNode;
    this.log = { x: this.facts.x === "log", y: this.facts.y !== "linear" };
    this.bands = true;
    this.hidden = {};
    this.align();
    this.legend();
    this.tools();
    this.keys();
    this.build();
  }

  // One time axis for all curves; null where a curve has no value.
  Chart.prototype.align = function () {
    var facts = this.facts, all = new Set();
    facts.ts.forEach(function (ts) { ts.forEach(function (t) { if (t !== null) all.add(t); }); });
    this.t = Array.from(all).sort(function (a, b) { return a - b; });
    var where = new Map(this.t.map(function (t, i) { return [t, i]; })), n = this.t.length;
    this.rows = facts.lines.map(function (line) {
      function spread(values) {
        var out = new Array(n).fill(null), ts = facts.ts[line.k];
        values.forEach(function (v, i) { if (ts[i] !== null) out[where.get(ts[i])] = v; });
        return out;
      }
      return { mean: spread(line.m), lo: line.l && spread(line.l), hi: line.h && spread(line.h) };
    });
  };

  // How y is shown: [uPlot's kind of scale, where it becomes linear]. A logarithm has no zero.
  Chart.prototype.scale = function () {
    if (!this.log.y) return [1, 1];
    var smallest = Infinity, signed = false;
    this.rows.forEach(function (row, i) {
      if (this.hidden[i] || this.facts.lines[i].o) return;
      row.mean.forEach(function (v) {
        if (v === null) return;
        if (v <= 0) signed = true; else smallest = Math.min(smallest, v);
      });
    }, this);
    if (this.facts.y === "symlog") return [4, this.facts.lin];
    if (smallest === Infinity) return [1, 1];
    return signed ? [4, Math.pow(10, Math.floor(Math.log10(smallest)))] : [3, smallest];
  };

  Chart.prototype.build = function () {
    var self = this, facts = this.facts, kind = this.scale();
    if (this.plot) this.plot.destroy();
    var keep = this.t.map(function (t) { return !self.log.x || t > 0; });
    function kept(values) { return values.filter(function (_, i) { return keep[i]; }); }
    function drawn(values, floor) {
      return kept(values).map(function (v) {
        return v === null || kind[0] !== 3 || v > 0 ? v : floor;
      });
    }
    var data = [kept(this.t)], series = [{}], bands = [];
    this.first = [];
    this.rows.forEach(function (row, i) {
      var line = facts.lines[i], shown = !self.hidden[i];
      self.first.push(data.length);
      function color() { return line.c[dark() ? 1 : 0]; }
      var few = row.mean.filter(function (v) { return v !== null; }).length <= 12;
      series.push({
        label: line.n, stroke: color, width: line.o ? 1.5 : 2, dash: line.d, spanGaps: true,
        show: shown, auto: !line.o || kind[0] === 3, points: { show: few, size: 6, fill: color, stroke: color },
      });
      data.push(drawn(row.mean, null));
      if (row.lo) {
        var from = data.length;
        // On a logarithmic axis a band that reaches zero must not decide how far down it goes.
        var side = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false }, show: shown && self.bands, auto: kind[0] === 1 };
        series.push(Object.assign({}, side), Object.assign({}, side));
        data.push(drawn(row.hi, null), drawn(row.lo, kind[1] * 1e-9));
        bands.push({ series: [from, from + 1], fill: function () { return color() + "33"; } });
      }
    });
    function axis(label, side) {
      return {
        side: side, label: label, labelSize: 22, labelGap: 4, labelFont: "13px system-ui, sans-serif",
        font: "12px system-ui, sans-serif", stroke: function () { return css("--ink"); },
        grid: { stroke: function () { return css("--grid"); }, width: 1 },
        ticks: { stroke: function () { return css("--edge"); }, width: 1, size: 5 },
        values: function (_, splits) { return splits.map(tick); },
      };
    }
    var x = axis(facts.xl, 2), y = axis(facts.yl, 3);
    x.space = 55; x.size = 32;
    if (kind[0] === 4) y.splits = function (u) { return decades(u.scales.y.min, u.scales.y.max, kind[1]); };
    y.size = function (_, values) {
      var longest = (values || []).reduce(function (m, v) { return Math.max(m, (v || "").length); }, 2);
      return 14 + 7.2 * longest;
    };
    var low = data[0][0], high = data[0][data[0].length - 1];
    this.ends = [low, high];
    this.plot = new uPlot({
      width: this.box.clientWidth, height: this.height(), series: series, bands: bands, axes: [x, y],
      legend: { show: false },
      cursor: { drag: { x: true, y: true, uni: 30 }, points: { size: 7 }, focus: { prox: -1 } },
      scales: {
        x: { time: false, distr: this.log.x ? 3 : 1, range: function (_, a, b) { return a === b ? [a * 0.9, b * 1.1 + 1e-9] : [a, b]; } },
        y: kind[0] !== 4 ? { distr: kind[0] } : {
          distr: 4, asinh: kind[1],
          range: function (_, a, b) { return [a < 0 ? 1.2 * a : -0.15 * kind[1], 1.3 * Math.max(b, kind[1])]; },
        },
      },
      hooks: { setCursor: [function (u) { self.values(u.cursor.idx); }] },
    }, data, this.box);
    this.values(null);
  };

  Chart.prototype.height = function () { return window.innerWidth < 640 ? 300 : 360; };
  Chart.prototype.paint = function () {
    this.swatches.forEach(function (swatch) { swatch.line.setAttribute("stroke", swatch.color[dark() ? 1 : 0]); });
    this.plot.redraw(false, true);
  };

  // What the curves are at a point, in the legend; for who moves by keys also as a sentence.
  Chart.prototype.values = function (i) {
    var data = this.plot.data, self = this, at = i === null || i === undefined ? null : data[0][i];
    this.read.textContent = at === null ? "" : (this.facts.xl || "x") + " " + number(at);
    this.swatches.forEach(function (swatch, k) {
      var row = self.first[k], line = self.facts.lines[k], v = at === null ? null : data[row][i];
      var said = number(v);
      if (said && line.l) said += " [" + number(data[row + 2][i]) + ", " + number(data[row + 1][i]) + "]";
      swatch.value.textContent = said;
    });
  };

  Chart.prototype.legend = function () {
    var self = this, list = this.frame.querySelector(".legend");
    this.read = this.frame.querySelector(".read");
    this.swatches = this.facts.lines.map(function (line, i) {
      var entry = document.createElement("button");
      entry.type = "button";
      entry.setAttribute("aria-pressed", "true");
      var ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg");
      svg.setAttribute("width", "30"); svg.setAttribute("height", "10"); svg.setAttribute("aria-hidden", "true");
      var mark = document.createElementNS(ns, "line");
      [["x1", 1], ["x2", 29], ["y1", 5], ["y2", 5], ["stroke-width", 3], ["stroke-dasharray", line.d.join(" ")], ["stroke", line.c[dark() ? 1 : 0]]]
        .forEach(function (pair) { mark.setAttribute(pair[0], pair[1]); });
      svg.appendChild(mark);
      var name = document.createElement("span"), value = document.createElement("span");
      name.className = "name"; name.textContent = line.n;
      value.className = "value";
      entry.append(svg, name, value);
      entry.addEventListener("click", function () {
        self.hidden[i] = !self.hidden[i];
        entry.setAttribute("aria-pressed", String(!self.hidden[i]));
        self.show(i);
      });
      list.appendChild(entry);
      return { line: mark, color: line.c, value: value };
    });
  };

  Chart.prototype.show = function (i) {
    var row = this.first[i], on = !this.hidden[i], plot = this.plot;
    if (this.log.y) { // the smallest value may be another one now
      var from = plot.scales.x.min, to = plot.scales.x.max;
      this.build();
      if (from > this.ends[0] || to < this.ends[1]) this.plot.setScale("x", { min: from, max: to });
      return;
    }
    plot.setSeries(row, { show: on });
    if (this.rows[i].lo) [1, 2].forEach(function (k) { plot.setSeries(row + k, { show: on && this.bands }); }, this);
  };

  Chart.prototype.zoom = function (factor) {
    var u = this.plot, a = u.scales.x.min, b = u.scales.x.max, log = this.log.x;
    var to = log ? Math.log : Number, from = log ? Math.exp : Number;
    var left = u.cursor.left >= 0 && u.cursor.idx !== null ? u.data[0][u.cursor.idx] : null;
    var middle = left === null ? (to(a) + to(b)) / 2 : to(left), half = (to(b) - to(a)) / 2 * factor;
    var low = Math.max(from(middle - half), this.ends[0]), high = Math.min(from(middle + half), this.ends[1]);
    if (high > low) u.setScale("x", { min: low, max: high });
  };
  Chart.prototype.reset = function () { this.plot.setScale("x", { min: this.ends[0], max: this.ends[1] }); };

  Chart.prototype.tools = function () {
    var self = this;
    this.frame.querySelectorAll(".tools button").forEach(function (tool) {
      var what = tool.dataset.do;
      if (what in self.log) tool.setAttribute("aria-pressed", String(self.log[what]));
      tool.addEventListener("click", function () {
        if (what === "in") return self.zoom(0.5);
        if (what === "out") return self.reset();
        if (what === "bands") self.bands = !self.bands; else self.log[what] = !self.log[what];
        tool.setAttribute("aria-pressed", String(what === "bands" ? self.bands : self.log[what]));
        self.build();
      });
    });
  };

  Chart.prototype.keys = function () {
    var self = this, at = -1;
    this.box.addEventListener("keydown", function (event) {
      var u = self.plot, last = u.data[0].length - 1, step = event.shiftKey ? 10 : 1;
      if (event.key === "ArrowRight") at = Math.min(at + step, last);
      else if (event.key === "ArrowLeft") at = Math.max(at < 0 ? last : at - step, 0);
      else if (event.key === "Home") at = 0;
      else if (event.key === "End") at = last;
      else if (event.key === "+" || event.key === "=") { self.zoom(0.5); event.preventDefault(); return; }
      else if (event.key === "-" || event.key === "Escape") { self.reset(); event.preventDefault(); return; }
      else return;
      event.preventDefault();
      u.setCursor({ left: u.valToPos(u.data[0][at], "x"), top: u.bbox.height / (2 * devicePixelRatio) });
      self.values(at);
      var said = self.facts.lines.map(function (line, k) {
        return self.hidden[k] ? "" : line.n + " " + number(u.data[self.first[k]][at]);
      });
      self.read.textContent = (self.facts.xl || "x") + " " + number(u.data[0][at]) + ": " + said.filter(Boolean).join(", ");
    });
  };

  // --- charts are made when they come into view, and follow the width -------------------------
  var seen = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (!entry.isIntersecting || !entry.target.clientWidth) return;
      seen.unobserve(entry.target);
      charts.push(new Chart(entry.target));
    });
  }, { rootMargin: "300px" });
  document.querySelectorAll(".chart").forEach(function (box) { seen.observe(box); });
  var later;
  window.addEventListener("resize", function () {
    clearTimeout(later);
    later = setTimeout(function () {
      charts.forEach(function (chart) {
        if (chart.box.clientWidth) chart.plot.setSize({ width: chart.box.clientWidth, height: chart.height() });
      });
    }, 100);
  });

  // --- the index -----------------------------------------------------------------------------
  function open() {
    var target = document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", open);
  var index = document.getElementById("index");
  if (index) {
    index.addEventListener("click", function (event) { // also where the address stays the same
      if (event.target.tagName === "A") setTimeout(open, 0);
    });
    var find = document.getElementById("find"), hits = document.getElementById("hits");
    var arenas = Array.from(document.querySelectorAll("main > details"));
    var lines = Array.from(index.children), texts = null;
    find.addEventListener("input", function () {
      texts = texts || arenas.map(function (arena) { return arena.textContent.toLowerCase(); });
      var wanted = find.value.trim().toLowerCase(), count = 0;
      arenas.forEach(function (arena, i) {
        var fits = texts[i].indexOf(wanted) >= 0;
        count += fits;
        arena.classList.toggle("hidden", !fits);
        lines[i].classList.toggle("hidden", !fits);
      });
      hits.textContent = wanted ? count + " of " + arenas.length + " arenas" : "";
    });
  }
  open();
  root.dataset.ready = "true";
})();
