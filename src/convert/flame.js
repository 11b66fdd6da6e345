// SPDX-License-Identifier: GPL-2.0-only
//
// flame.js - what a flame graph does when it is looked at: zoom by click, search with the share
// that matches, details of the frame under the pointer. The SVG is complete without it. Frames
// carry their place as "start weight level" in data-f, in depth-first order; names come from
// their tooltips and are only ever handled as text.
(function () {
'use strict';

const SVG = 'http://www.w3.org/2000/svg', HTML = 'http://www.w3.org/1999/xhtml';
const PAD = 10, PITCH = 17, GAP = 0.5, TEXT_PAD = 6;
const script = document.currentScript;
const svg = (script && script.ownerSVGElement) || document.querySelector('svg.pa-flame');
const alone = document.documentElement === svg || document.body.dataset.flame === '1';
const $ = (selector) => svg.querySelector(selector);
const head = $('.head'), details = $('.details'), legend = $('.legend'), title = $('.title');
const fullTitle = $('title').textContent;
const minPx = Number(svg.dataset.min), unit = svg.dataset.unit;
const height = svg.viewBox.baseVal.height;
const restText = details.textContent +
	(alone ? '  \u00b7  click a frame to zoom, Ctrl-F to search, Esc to reset, I to flip' : '');

const frames = Array.from(svg.querySelectorAll('.frames > g'), (g, i) => {
	const [start, weight, level] = g.dataset.f.split(' ').map(Number);

	g.paIndex = i;
	return {g, start, weight, level, rect: g.children[1], text: g.children[2] || null,
		label: null, name: null};
});
const root = frames[0];
const inverted = svg.dataset.inverted === '1';
const rootY = Number(root.rect.getAttribute('y'));
const rise = PITCH * frames.reduce((m, f) => Math.max(m, f.level), 0);
const baseY = inverted ? rootY + rise : rootY, topY = inverted ? rootY : rootY - rise;

let width = svg.viewBox.baseVal.width;
let view = root;		// the frame that fills the width
let flipped = inverted;
let charPx = 6.63;

function nameOf(f)
{
	if (f.name === null)
		f.name = f.g.children[0].textContent.split('\n', 1)[0];
	return f.name;
}

function percent(part, whole)
{
	return (whole ? 100 * part / whole : 0).toFixed(2) + '%';
}

// Cut to a number of characters, by code points: half a surrogate pair is not a character.
function clip(text, room)
{
	const chars = text.length > room ? Array.from(text) : null;

	return chars && chars.length > room ? chars.slice(0, Math.max(0, room - 1)).join('') +
						      '\u2026' : text;
}

function element(parent, ns, name, attributes)
{
	const e = document.createElementNS(ns, name);

	for (const key in attributes)
		e.setAttribute(key, attributes[key]);
	return parent.appendChild(e);
}

// ---- layout ------------------------------------------------------------------------------

function setLabel(f, x, y, w)
{
	const room = Math.floor((w - TEXT_PAD) / charPx);
	const label = room >= 3 ? clip(nameOf(f), room) : '';

	if (!f.text && label)
		f.text = element(f.g, SVG, 'text', {});
	if (!f.text)
		return;
	if (label !== f.label)
		f.text.textContent = f.label = label;
	f.text.setAttribute('x', (x + 3).toFixed(2));
	f.text.setAttribute('y', y + 12);
}

function place(f)
{
	const inner = width - 2 * PAD, end = f.start + f.weight, viewEnd = view.start + view.weight;
	const whole = view.weight || 1;	// a graph of no samples
	const above = f.level < view.level && f.start <= view.start && end >= viewEnd;
	let x = PAD, w = inner;

	if (!above) {
		x += (f.start - view.start) / whole * inner;
		w = f.weight / whole * inner;
	}
	const shown = f === root || above ||
		(f.level >= view.level && f.start >= view.start && end <= viewEnd && w >= minPx);

	f.g.style.display = shown ? '' : 'none';
	if (!shown)
		return;
	const y = flipped ? topY + f.level * PITCH : baseY - f.level * PITCH;

	f.g.classList.toggle('above', above);
	f.rect.setAttribute('x', x.toFixed(2));
	f.rect.setAttribute('y', y);
	f.rect.setAttribute('width', (w > 2 ? w - GAP : w).toFixed(2));
	setLabel(f, x, y, w);
}

function layout()
{
	frames.forEach(place);
	resetButton.style.display = view === root ? 'none' : '';
	showDetails(null);
	showMatched();
}

function zoom(f)
{
	view = f.weight ? f : root;
	layout();
}

// ---- search ------------------------------------------------------------------------------

// A test for names, or null for the empty pattern. Case counts only when the pattern has
// capitals; what is not a regular expression is taken literally.
function matcher(pattern)
{
	const flags = pattern === pattern.toLowerCase() ? 'iu' : 'u';

	if (!pattern)
		return null;
	try {
		const re = new RegExp(pattern, flags);

		return (name) => re.test(name);
	} catch (e) {
		const fold = (s) => flags === 'iu' ? s.toLowerCase() : s, literal = fold(pattern);

		return (name) => fold(name).includes(literal);
	}
}

function search(pattern)
{
	const test = matcher(pattern), seen = new Map();

	for (const f of frames) {
		let match = false;

		if (test) {
			match = seen.get(nameOf(f));
			if (match === undefined)
				seen.set(nameOf(f), match = test(nameOf(f)));
		}
		if (match !== Boolean(f.match))
			f.g.classList.toggle('match', match);
		f.match = match;
	}
	showMatched();
}

// The share of the view whose stacks hold a match. Frames come parents first, so a match that
// begins before the end of the last counted one lies inside it and counts no second time.
function showMatched()
{
	let sum = 0, counted = view.start;

	if (!input.value) {
		matched.textContent = '';
		return;
	}
	for (const f of frames) {
		if (!f.match || f.level < view.level || f.start < counted ||
		    f.start + f.weight > view.start + view.weight)
			continue;
		sum += f.weight;
		counted = f.start + f.weight;
	}
	matched.textContent = percent(sum, view.weight) +
		(view === root ? ' matched' : ' of view matched');
}

// ---- details -----------------------------------------------------------------------------

function showDetails(f)
{
	let text = f ? f.weight.toLocaleString('en-US') + ' ' + unit + ', ' +
		       percent(f.weight, root.weight) : restText;

	if (f && view !== root)
		text += ' (' + percent(f.weight, view.weight) + ' of view)';
	if (f)
		text += '  \u00b7  ' + nameOf(f);
	details.textContent = clip(text, Math.max(20, Math.floor((width - 2 * PAD - 170) / 6.6)));
}

function frameAt(event)
{
	const g = event.target.closest ? event.target.closest('.frames > g') : null;

	return g && g.paIndex !== undefined ? frames[g.paIndex] : null;
}

// ---- controls ----------------------------------------------------------------------------

function button(label, w, action)
{
	const g = element(head, SVG, 'g', {class: 'button', role: 'button', tabindex: '0'});

	element(g, SVG, 'rect', {x: 0.5, y: 0.5, width: w - 1, height: 23, rx: 4});
	element(g, SVG, 'text', {x: w / 2, y: 16}).textContent = label;
	g.addEventListener('click', action);
	g.addEventListener('keydown', (e) => {
		if (e.key === 'Enter' || e.key === ' ') {
			e.preventDefault();
			action();
		}
	});
	return g;
}

const resetButton = button('Reset zoom', 86, () => zoom(root));
const searchBox = element(head, SVG, 'foreignObject', {y: 12, width: 230, height: 26});
const input = element(searchBox, HTML, 'input', {type: 'search', spellcheck: 'false',
	placeholder: 'Search (regex)', 'aria-label': 'Search function names'});
const matched = element(head, SVG, 'text', {class: 'matched', y: 71});

function fitWidth()
{
	if (alone && window.innerWidth > 300)
		width = document.documentElement.clientWidth || window.innerWidth;
	const shift = width - svg.viewBox.baseVal.width;

	if (shift) {
		const at = Number(legend.dataset.shift || 0) + shift;

		svg.setAttribute('width', width);
		svg.setAttribute('viewBox', '0 0 ' + width + ' ' + height);
		legend.setAttribute('transform', 'translate(' + at + ' 0)');
		legend.dataset.shift = at;
	}
	searchBox.setAttribute('x', width - PAD - 230);
	resetButton.setAttribute('transform', 'translate(' + (width - PAD - 326) + ' 12)');
	matched.setAttribute('x', width - PAD);
	title.textContent = clip(fullTitle, Math.max(10, Math.floor((width - 360) / 9.8)));
	layout();
}

function showRoot()
{
	if (alone)
		window.scrollTo(0, flipped ? 0 : document.documentElement.scrollHeight);
}

function reset()
{
	input.value = '';
	input.blur();
	search('');
	zoom(root);
}

function onKey(e)
{
	if (e.key === 'Escape') {
		reset();
	} else if (e.key.toLowerCase() === 'f' && (e.ctrlKey || e.metaKey)) {
		// A second Ctrl-F is the browser's own search.
		if (document.activeElement === input)
			return;
		e.preventDefault();
		input.focus();
		input.select();
	} else if (e.key.toLowerCase() === 'i' && !e.ctrlKey && !e.metaKey && !e.altKey &&
		   e.target !== input) {
		flipped = !flipped;
		layout();
		showRoot();
	}
}

// On a canvas: measuring inside the graph would make the browser lay it out once more.
function measureChar()
{
	const canvas = document.createElementNS(HTML, 'canvas').getContext('2d');

	if (!canvas || !root.g.children[2])
		return charPx;
	canvas.font = getComputedStyle(root.g.children[2]).font;
	return canvas.measureText('M'.repeat(50)).width / 50 || charPx;
}

function start()
{
	const shown = $('.frames');
	let typed = 0;

	charPx = measureChar();
	shown.addEventListener('mouseover', (e) => showDetails(frameAt(e)));
	shown.addEventListener('mouseleave', () => showDetails(null));
	shown.addEventListener('click', (e) => {
		const f = frameAt(e);

		if (f)
			zoom(f);
	});
	input.addEventListener('input', () => {
		clearTimeout(typed);
		typed = setTimeout(() => search(input.value), 120);
	});
	// Inside a page the keys are the graph's only while it has the focus.
	(alone ? document : svg).addEventListener('keydown', onKey);
	fitWidth();
	if (!alone)
		return;
	// On its own the graph takes the window's width, and keeps its head in sight.
	window.addEventListener('resize', fitWidth);
	window.addEventListener('scroll', () => {
		head.setAttribute('transform', 'translate(0 ' + Math.max(0, window.scrollY) + ')');
	});
	showRoot();
}

start();
})();
