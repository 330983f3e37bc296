// What is wrong with the page that is open, as a list of sentences.
(() => {
	const faults = [];
	const root = document.documentElement;
	const all = (selector) => [...document.querySelectorAll(selector)];
	const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".unseen, .skip") && e.getClientRects().length > 0;
	const name = (e) => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.getAttribute("class") ? "." + e.getAttribute("class").replaceAll(" ", ".") : "");

	if (root.scrollWidth > root.clientWidth) {
		const wide = all("body *").filter((e) => shown(e) && e.getBoundingClientRect().right > root.clientWidth + 1).slice(-3).map(name);
		faults.push(`it is ${root.scrollWidth} wide in a window of ${root.clientWidth}: ${wide}`);
	}
	if (all("h1").length !== 1) faults.push(`it has ${all("h1").length} h1`);
	for (const one of ["main", "footer"]) if (all(one).length !== 1) faults.push(`it has ${all(one).length} ${one}`);
	if (all("header.bar nav").length !== all("header.bar").length) faults.push("its bar has no navigation");
	if (!root.lang || !document.title) faults.push("it has no language or no title");

	for (const e of all("input:not([type=hidden]), select, textarea")) {
		if (![...(e.labels || [])].some((l) => l.textContent.trim()) && !e.getAttribute("aria-label")) faults.push(`${name(e)} has no label`);
	}
	for (const e of all("button, a, summary")) {
		if (!e.textContent.trim() && !e.getAttribute("aria-label")) faults.push(`${name(e)} has no name`);
	}
	for (const e of all("svg, img")) {
		if (!e.getAttribute("aria-label") && e.getAttribute("aria-hidden") !== "true" && !e.alt) faults.push(`${name(e)} has no name`);
	}
	for (const e of all("th")) if (!e.textContent.trim() && !e.getAttribute("aria-label")) faults.push(`${name(e.closest("table"))} has a column without a name`);

	// Contrast.
	const parse = (c) => {
		const n = (c.match(/[\d.e+-]+/g) || []).map(Number);
		if (c.startsWith("color(srgb")) return [n[0] * 255, n[1] * 255, n[2] * 255, n[3] ?? 1];
		return [n[0], n[1], n[2], n[3] ?? 1];
	};
	const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) {
			const c = parse(getComputedStyle(e).backgroundColor);
			if (c[3] > 0) layers.push(c);
			if (c[3] === 1) break;
		}
		return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
	};
	const light = (c) => {
		const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const seen = new Set();
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (seen.has(e) || !texts.currentNode.textContent.trim() || !shown(e) || e.closest("[aria-hidden=true]")) continue;
		seen.add(e);
		const style = getComputedStyle(e);
		const ink = parse(e.closest("svg") ? style.fill : style.color);
		for (let p = e; p; p = p.parentElement) ink[3] *= Number(getComputedStyle(p).opacity);
		const paper = ground(e);
		const [a, b] = [light(over(ink, paper)), light(paper)].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) faults.push(`${name(e)} "${texts.currentNode.textContent.trim().slice(0, 30)}" has a contrast of ${ratio.toFixed(2)}`);
	}
	return faults.slice(0, 20);
})()
