// Makes pages move: parts that changed are replaced, log lines are added, and the end of a log is followed
// until one scrolls up. Without it every page shows the same, once. One connection a page; the browser resumes
// it by itself with the last event's id, and the server sends what was missed.
"use strict";

const say = (text) => { document.getElementById("connection").textContent = text; };

// Lines by their address: #test.unit:120 or #test.unit:120-124.
function marked() {
	document.querySelectorAll(".marked").forEach((line) => line.classList.remove("marked"));
	const range = decodeURIComponent(location.hash).match(/^#(.+):(\d+)(?:-(\d+))?$/);
	if (!range) return;
	const [, log, from, to] = range;
	const box = document.getElementById(log);
	if (box instanceof HTMLDetailsElement) box.open = true;
	let first = null;
	for (let n = Number(from); n <= Math.min(Number(to || from), Number(from) + 5000); n++) {
		const line = document.getElementById(log + ":" + n);
		if (!line) continue;
		line.classList.add("marked");
		first = first || line;
	}
	if (first) {
		following.delete(first.closest(".lines"));
		show(first, 3);
		return;
	}
	// The line is not on this page: the page of the log alone has it. It is asked for once.
	const asked = new URLSearchParams(location.search).get("from");
	const begin = String(Math.max(1, Number(from) - 20));
	if (box && box.dataset.page && asked !== begin) location.replace(box.dataset.page + "?from=" + begin + location.hash);
}

// Scrolls to a line, again once the blocks around it were laid out.
function show(line, more) {
	line.scrollIntoView({ block: "center" });
	if (more > 0) requestAnimationFrame(() => show(line, more - 1));
}

// A click on a number with Shift makes a range of it.
function pick(event) {
	const link = event.target.closest(".lines li > a");
	const now = decodeURIComponent(location.hash).match(/^#(.+):(\d+)/);
	if (!link || !event.shiftKey || !now) return;
	const [, log, to] = link.getAttribute("href").match(/^#(.+):(\d+)$/);
	if (log !== now[1]) return;
	event.preventDefault();
	const [a, b] = [Number(now[2]), Number(to)].sort((x, y) => x - y);
	history.replaceState(null, "", "#" + log + ":" + a + "-" + b);
	marked();
}

// Boxes of lines whose end is followed: those of growing logs, until one scrolls up in them.
const following = new Set();

function follow(box) {
	if (!box || box.dataset.watched) return;
	box.dataset.watched = "yes";
	following.add(box);
	box.scrollTop = box.scrollHeight;
	box.addEventListener("scroll", () => {
		const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
		if (atEnd) following.add(box);
		else following.delete(box);
	}, { passive: true });
}

function growing() {
	document.querySelectorAll("[data-growing]").forEach((log) => {
		const box = log.querySelector(".lines");
		if (box.dataset.watched) return;
		follow(box);
		log.addEventListener("toggle", () => {
			if (log.open && following.has(box)) box.scrollTop = box.scrollHeight;
		});
	});
}

// Adds lines to a box: the blocks that hold them are kept full, and only so many on the page.
const fullBlock = 200, mostBlocks = 100;

function addLines(box, html) {
	const fresh = document.createElement("template");
	fresh.innerHTML = html;
	for (const block of fresh.content.querySelectorAll("ol")) {
		let last = box.lastElementChild;
		if (!last || last.tagName !== "OL" || last.childElementCount + block.childElementCount > fullBlock) box.append(block);
		else last.append(...block.children);
	}
	let gone = 0;
	for (let blocks = box.querySelectorAll("ol"), i = 0; i < blocks.length - mostBlocks; i++) {
		gone += blocks[i].childElementCount;
		blocks[i].remove();
	}
	if (gone > 0) leftOut(box, gone);
	if (following.has(box)) box.scrollTop = box.scrollHeight;
}

// Says how many lines above are not on the page.
function leftOut(box, more) {
	let count = box.querySelector("[data-before]");
	if (!count) {
		const gap = document.createElement("p");
		gap.className = "gap";
		gap.innerHTML = '<span data-before="0"></span> above. <a>Page through all</a>';
		gap.querySelector("a").href = box.closest("[data-page]").dataset.page;
		box.prepend(gap);
		count = gap.firstElementChild;
	}
	count.dataset.before = Number(count.dataset.before) + more;
	count.textContent = Number(count.dataset.before).toLocaleString("en") + " lines";
}

// Times that have not ended go on. Each began to count when it came.
const began = new WeakMap();

function span(s) {
	const two = (n) => String(n).padStart(2, "0");
	if (s < 10) return s.toFixed(1) + " s";
	if (s < 60) return Math.floor(s) + " s";
	if (s < 3600) return Math.floor(s / 60) + " min " + two(Math.floor(s % 60)) + " s";
	return Math.floor(s / 3600) + " h " + two(Math.floor(s % 3600 / 60)) + " min";
}

function tick() {
	document.querySelectorAll("[data-elapsed]").forEach((e) => {
		if (!began.has(e)) began.set(e, performance.now() - 1000 * Number(e.dataset.elapsed));
		e.textContent = span((performance.now() - began.get(e)) / 1000);
	});
}

// Replaces an element's content, but keeps what the reader has opened, and waits while something is typed or
// about to be done in it.
function replace(id, html) {
	const old = document.getElementById(id);
	if (!old) return;
	if (old.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
	if (old.querySelector("details.confirm[open]")) return;
	const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
	const opened = [...old.querySelectorAll("details")].map((d) => d.open);
	const next = document.createElement("template");
	next.innerHTML = html;
	const all = next.content.querySelectorAll("details");
	if (all.length === opened.length) all.forEach((d, i) => { d.open = opened[i]; });
	old.replaceChildren(next.content);
	tick();
	if (focused) old.querySelector('a[href="' + CSS.escape(focused) + '"]')?.focus();
}

// How the log stands that a part tells of: what failed opens, and what has ended grows no more.
function stand(part) {
	const log = document.getElementById(part.id)?.closest("details.log");
	if (!log) return;
	if (part.ended && log.hasAttribute("data-growing")) {
		log.removeAttribute("data-growing");
		if (part.open) log.open = true;
	}
}

const handlers = {
	part(part) {
		replace(part.id, part.html);
		stand(part);
	},
	log(log) {
		if (document.getElementById(log.id)) return;
		document.getElementById("logs").insertAdjacentHTML("afterbegin", log.html);
		growing();
		tick();
	},
	lines(add) {
		const box = document.getElementById(add.id)?.querySelector(".lines");
		if (!box) return;
		addLines(box, add.html);
		document.getElementById("total-" + add.id).textContent = add.total;
	},
};

// One connection a page, and none while nobody sees it: browsers allow only a few to a server.
function listen(address) {
	let source = null, last = "", ended = false;
	const open = () => {
		if (source || ended || document.hidden) return;
		const at = new URL(address, location.href);
		if (last) at.searchParams.set("at", last);
		source = new EventSource(at);
		source.addEventListener("open", () => say("Live."));
		source.addEventListener("error", () => say(source?.readyState === EventSource.CLOSED ? "No longer live: load the page again." : "The connection was lost; it is being taken up again."));
		for (const [name, handle] of Object.entries(handlers)) {
			source.addEventListener(name, (event) => {
				last = event.lastEventId;
				handle(JSON.parse(event.data));
			});
		}
		source.addEventListener("end", () => {
			ended = true;
			close();
			say("");
		});
	};
	const close = () => {
		source?.close();
		source = null;
	};
	document.addEventListener("visibilitychange", () => document.hidden ? close() : open());
	window.addEventListener("pagehide", close);
	window.addEventListener("pageshow", open);
	open();
}

marked();
growing();
tick();
setInterval(tick, 250);
window.addEventListener("hashchange", marked);
document.addEventListener("click", pick);
if (document.body.dataset.live) listen(document.body.dataset.live);
