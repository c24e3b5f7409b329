/** Finds a free place on the canvas. Knows nothing about what lies there. */

export const GAP = 90;

/** Right of a node, below whatever lies there; without one, where the canvas is looked at. */
export function freePlace(graph, node, size) {
  const x = node ? node.pos[0] + node.size[0] + GAP : 60;
  let y = node ? node.pos[1] : 80;
  const others = graph.nodes ?? graph._nodes;
  const isTaken = (other) =>
    other.pos[0] < x + size[0] &&
    x < other.pos[0] + other.size[0] &&
    other.pos[1] - 40 < y + size[1] &&
    y - 40 < other.pos[1] + other.size[1];
  for (let other = others.find(isTaken); other; other = others.find(isTaken)) {
    y = other.pos[1] + other.size[1] + GAP;
  }
  return [x, y];
}
