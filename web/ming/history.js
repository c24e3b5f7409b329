/** Finds in the server's history what a node showed last. Knows nothing about the page. */

/**
 * The newest output of a Timeline node, or null.
 *
 * A history entry counts when its prompt has a node of this class under this number, fed by the
 * node that feeds it now, and, where both are known, when it came from the workflow that is open.
 */
export function conversationsFromHistory(history, { node, origin, workflowId, classType }) {
  const entries = Object.values(history ?? {}).reverse();
  for (const entry of entries) {
    const [, , prompt, extra] = entry?.prompt ?? [];
    const ranIn = extra?.extra_pnginfo?.workflow?.id;
    if (ranIn && workflowId && ranIn !== workflowId) continue;
    for (const [key, output] of Object.entries(entry?.outputs ?? {})) {
      const isSame = key === `${node.id}` || key.endsWith(`:${node.id}`);
      if (!isSame || prompt?.[key]?.class_type !== classType || !output?.ming_timeline) continue;
      if (isFedBy(prompt, prompt[key].inputs?.context, origin)) return output;
    }
  }
  return null;
}

/** Whether an input was fed by a node; one that the prompt does not have cannot be told. */
function isFedBy(prompt, input, origin) {
  const ends = (key) => key === `${origin.id}` || key.endsWith(`:${origin.id}`);
  const canBeTold = origin && Array.isArray(input) && Object.keys(prompt).some(ends);
  return !canBeTold || ends(`${input[0]}`);
}
