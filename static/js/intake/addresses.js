// The addresses of a batch, below the team's, and the ids that the browser makes for batches and files.

export function addressesOf(batches, id) {
  const batch = `${batches}${id}/`;
  return {
    batch,
    files: `${batch}files/`,
    plan: `${batch}plan/`,
    missing: `${batch}missing/`,
    upload: `${batch}upload/`,
    reuse: `${batch}reuse/`,
    urls: `${batch}urls/`,
    control: `${batch}control/`,
    chunk: (requestId) => `${batch}chunks/${requestId}/`,
  };
}

// crypto.randomUUID exists on https and localhost only, and a team may run this on a plain http host.
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
