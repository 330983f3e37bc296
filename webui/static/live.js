// Makes pages move: parts that changed are replaced, log lines are added, and the end of a log is followed
// until one scrolls up. Without it every page shows the same, once.
"use strict";

const byId = (id) => document.getElementById(id);
const say = (text) => { byId("connection").textContent = text; };
const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 30;
const toEnd = (box) => { box.scrollTop = box.scrollHeight; };

// Logs are blocks of 200 lines. An empty one keeps the place of its lines, which come when it is about to be
// seen: so one can scroll through all of a log although only some of it is on the page.
const blockLines = 200, mostBlocks = 150;
const blockOf = (log, n) => byId(log + "/" + (n - (n - 1) % blockLines));
const soon = new IntersectionObserver((seen) => seen.filter((e) => e.isIntersecting).forEach((e) => fill(e.target)), { scrollMargin: "2000px" });

async function fill(block) {
	soon.unobserve(block);
	if (block.childElementCount) return;
	const log = block.closest("[data-page]");
	const answer = await fetch(log.dataset.page + block.id.replace(/.*\//, "?block="), { redirect: "error" }).catch(() => null);
	if (answer?.ok) block.innerHTML = await answer.text();
	else if (!answer || answer.status >= 500) setTimeout(() => soon.observe(block), 2000);
	mark();
	makeRoom(log);
}

// Empties the oldest blocks that are far from what is seen, where there are too many.
function makeRoom(log) {
	const far = [...log.querySelector(".lines").children].slice(0, -1).filter((block) => {
		const at = block.childElementCount && block.getBoundingClientRect();
		return at && (at.bottom < -4000 || at.top > innerHeight + 4000);
	});
	for (const block of far.slice(0, Math.max(0, far.length - mostBlocks))) {
		block.replaceChildren();
		soon.observe(block);
	}
}

// Lines have addresses: #test.unit:120 or #test.unit:120-124.
const named = () => decodeURIComponent(location.hash).match(/^#(.+):(\d+)(?:-(\d+))?$/)?.slice(1) ?? [];

function mark() {
	document.querySelectorAll(".marked").forEach((line) => line.classList.remove("marked"));
	const [log, from, to = from] = named();
	for (let n = Number(from); n <= Math.min(to, Number(from) + 5000); n++) byId(log + ":" + n)?.classList.add("marked");
}

async function goTo() {
	mark();
	const [name, from] = named(), log = name && byId(name);
	if (!log) return;
	log.open = true;
	const block = blockOf(name, from);
	if (block) await fill(block);
	const line = byId(name + ":" + from);
	line?.scrollIntoView({ block: "center" });
	// A line without a place here is on the page of the log alone, which is asked for it once.
	const near = "?from=" + Math.max(1, from - 20);
	if (!line && log.dataset.page && location.search !== near) location.replace(log.dataset.page + near + location.hash);
}

// A click on a number with Shift makes a range of it.
function pick(event) {
	const link = event.target.closest(".lines li > a"), [log, from] = named();
	if (!link || !event.shiftKey || link.hash !== `#${log}:${link.textContent}`) return;
	event.preventDefault();
	const [a, b] = [Number(from), Number(link.textContent)].sort((x, y) => x - y);
	history.replaceState(null, "", `#${log}:${a}-${b}`);
	mark();
}

// Times that have not ended go on from when they came.
function tick() {
	const now = performance.now() / 1000;
	for (const time of document.querySelectorAll("[data-elapsed]")) {
		time.dataset.began ??= now - time.dataset.elapsed;
		time.textContent = span(now - time.dataset.began);
	}
}

function span(s) {
	const [seconds, minutes, hours] = [s, s / 60, s / 3600].map(Math.floor), two = (n) => String(n).padStart(2, "0");
	if (s < 10) return s.toFixed(1) + " s";
	if (s < 60) return seconds + " s";
	return s < 3600 ? `${minutes} min ${two(seconds % 60)} s` : `${hours} h ${two(minutes % 60)} min`;
}

// What the server sends, by the names of the events.
const late = new Map(); // parts that came while something was about to be done in them
const events = {
	// What the reader has opened stays open, and the focus where it is.
	part(part) {
		const old = byId(part.id), controls = (row) => [...row.querySelectorAll("a, summary, button")];
		if (!old) return;
		late.set(part.id, part);
		if (old.querySelector(".confirm[open]")) return;
		late.delete(part.id);
		const row = document.activeElement?.closest("[id]"), focus = old.contains(row) ? controls(row).indexOf(document.activeElement) : -1;
		const opened = [...old.querySelectorAll("details[open]")].map((one) => one.id);
		old.innerHTML = part.html;
		opened.forEach((id) => byId(id)?.setAttribute("open", ""));
		if (focus >= 0) controls(byId(row.id) ?? old)[focus]?.focus({ preventScroll: true });
		if (part.open) old.closest("details").open = true;
	},
	log({ id, html }) {
		if (!byId(id)) byId("logs").insertAdjacentHTML("afterbegin", html);
	},
	lines({ id, html, total }) {
		const log = byId(id), box = log.querySelector(".lines"), follow = atEnd(box), fresh = document.createElement("template");
		fresh.innerHTML = html;
		for (const block of fresh.content.querySelectorAll("ol")) {
			const begun = byId(block.id);
			if (begun) begun.append(...block.children);
			else box.append(block);
		}
		if (follow) toEnd(box);
		makeRoom(log);
		byId("total-" + id).textContent = total;
	},
	end() {
		address = "";
		listen();
		say("");
	},
};

// One connection a page, and none while nobody sees it: browsers allow only a few to a server. It is resumed
// with the last event's id, and the server sends what was missed.
let source = null, address = document.body.dataset.live, last = "";

function listen() {
	source?.close();
	if (!address || document.hidden) return;
	source = new EventSource(last ? address.replace(/\?.*|$/, "?at=" + encodeURIComponent(last)) : address);
	source.onopen = () => say("Live.");
	source.onerror = () => say(source.readyState === EventSource.CLOSED ? "No longer live: load the page again." : "The connection was lost; it is being taken up again.");
	for (const [name, take] of Object.entries(events)) {
		source.addEventListener(name, (event) => {
			last = event.lastEventId;
			take(JSON.parse(event.data));
		});
	}
}

document.querySelectorAll(".lines ol:empty").forEach((block) => soon.observe(block));
document.querySelectorAll("[data-follow] .lines").forEach(toEnd);
document.addEventListener("toggle", ({ target }) => {
	if (target.open && target.matches("[data-follow]") && !target.querySelector(".marked")) toEnd(target.querySelector(".lines"));
	if (!target.open) late.forEach(events.part);
}, true);
document.addEventListener("click", pick);
document.addEventListener("visibilitychange", listen);
window.addEventListener("hashchange", goTo);
setInterval(tick, 250);
goTo();
listen();
