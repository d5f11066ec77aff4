// What each backend of a deployment does, and for how long.

/** The old backends, then the new ones, as `{address, parts: [{kind, from, to}]}`. */
export function courses({ deployment }, rollout, now) {
  const { started, switched, ended } = rollout;
  const end = ended ?? now;
  const undone = deployment.phase.name === "rolled-back" ? new Date(deployment.phase.at) : null;
  const old = [...rollout.old].map(([address, { since, over }]) => {
    if (!since) return { address, parts: [{ kind: "serving", from: started, to: end }] };
    const parts = [
      { kind: "serving", from: started, to: since },
      { kind: "draining", from: since, to: undone ?? over ?? end },
    ];
    return { address, parts: undone ? [...parts, { kind: "serving", from: undone, to: end }] : parts };
  });
  const fresh = deployment.new.map((address) => {
    const answered = rollout.answered.get(address);
    const serves = answered && switched ? new Date(Math.max(answered, switched)) : null;
    const starting = { kind: "starting", from: started, to: serves ?? end };
    return { address, parts: serves ? [starting, { kind: "serving", from: serves, to: undone ?? end }] : [starting] };
  });
  return [...old, ...fresh];
}
