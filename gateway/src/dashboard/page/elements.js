// Elements of the page. Text from the gateway goes into text nodes and attributes alone, so it never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes and children; strings are text. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets the text of an element where it differs, so that a selection in it lives on. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute where it differs; null removes it. */
export function mark(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/**
 * Makes the children of `parent` those of `items`, in their order. An item whose key was there keeps its element:
 * `create(item)` gives `{node, update(item)}` once for each key.
 */
export function keep(parent, items, keyOf, create) {
  const before = parent.parts ?? new Map();
  const parts = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const part = before.get(key) ?? create(item);
    parts.set(key, part);
    part.update(item);
    if (part.node === place) place = place.nextElementSibling;
    else parent.insertBefore(part.node, place);
  }
  for (const [key, part] of before) if (!parts.has(key)) part.node.remove();
  parent.parts = parts;
}
