/** Cuts a saved workflow down to the nodes that a turn needs. Knows nothing about the page. */

// What shows a step that is kept, and does nothing else.
const SHOWING = ["MingUniVision_PixelDecode", "MingUniVision_SaveImage", "PreviewImage", "SaveImage"];

/**
 * The workflow of what leads to an output, as the editor saves it.
 *
 * saved     what the editor saves of the whole graph
 * end       { id, slot } of the output that carries the context after the turn
 * timeline  id of a Timeline; its copy shows the context of that output
 */
export function excerptOf(saved, end, timeline) {
  const byId = new Map(saved.nodes.map((node) => [node.id, node]));
  const slot = byId.get(timeline).inputs.findIndex(({ name }) => name === "context");
  const links = saved.links.map((link) => {
    const [id, , , target, place, type] = link;
    return target === timeline && place === slot ? [id, end.id, end.slot, target, place, type] : link;
  });
  const kept = new Set([timeline]);
  const reach = () => {
    const size = kept.size;
    for (const [, origin, , target] of links) if (kept.has(target)) kept.add(origin);
    return kept.size > size;
  };
  while (reach());
  for (let found = true; found; ) {
    const shows = (node) => !kept.has(node.id) && SHOWING.includes(node.type) && isFed(node, links, kept);
    found = saved.nodes.filter(shows);
    for (const node of found) kept.add(node.id);
    found = found.length > 0;
  }
  return cut(saved, kept, links.filter(([, origin, , target]) => kept.has(origin) && kept.has(target)));
}

/** Whether all that goes into a node comes from nodes that are kept. */
function isFed(node, links, kept) {
  const origins = links.filter(([, , , target]) => target === node.id).map(([, origin]) => origin);
  return origins.length > 0 && origins.every((origin) => kept.has(origin));
}

function cut(saved, kept, links) {
  const nodes = saved.nodes
    .filter((node) => kept.has(node.id))
    .map((node) => ({
      ...node,
      inputs: node.inputs?.map((input, i) => ({ ...input, link: linkInto(links, node.id, i) })),
      outputs: node.outputs?.map((output, i) => ({ ...output, links: linksFrom(links, node.id, i) })),
    }));
  const types = JSON.stringify(nodes.map(({ type }) => type));
  const usesSubgraphs = saved.definitions?.subgraphs?.some(({ id }) => types.includes(id));
  const { last_node_id, last_link_id, version } = saved;
  const definitions = usesSubgraphs ? { definitions: saved.definitions } : {};
  return { last_node_id, last_link_id, nodes, links, groups: [], ...definitions, config: {}, extra: {}, version };
}

const linkInto = (links, id, slot) =>
  links.find(([, , , target, place]) => target === id && place === slot)?.[0] ?? null;

const linksFrom = (links, id, slot) =>
  links.filter(([, origin, place]) => origin === id && place === slot).map(([link]) => link);
