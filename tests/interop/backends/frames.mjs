// Frames by hand (RFC 6455 section 5.2), for the backend that uses no library.

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

// One unmasked frame, as a backend sends it.
export function encodeFrame(opcode, payload, fin = true) {
  const first = (fin ? 0x80 : 0) | opcode;
  return Buffer.concat([frameHead(first, payload.length), payload]);
}

function frameHead(first, size) {
  if (size < 126) return Buffer.from([first, size]);
  if (size < 65536) return Buffer.from([first, 126, size >> 8, size & 0xff]);
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(size), 2);
  return head;
}

export function encodeClose(code, reason) {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return encodeFrame(OPCODE.close, payload);
}

// Takes bytes as they come, gives whole unmasked frames. Throws on a frame that a client may not send.
export class FrameReader {
  pending = Buffer.alloc(0);

  *read(bytes) {
    this.pending = Buffer.concat([this.pending, bytes]);
    for (let frame = this.next(); frame; frame = this.next()) yield frame;
  }

  next() {
    const head = readHead(this.pending);
    if (!head || this.pending.length < head.end) return null;
    const payload = Buffer.from(this.pending.subarray(head.start, head.end));
    for (let at = 0; at < payload.length; at += 1) payload[at] ^= head.mask[at & 3];
    this.pending = this.pending.subarray(head.end);
    return { fin: head.fin, opcode: head.opcode, payload };
  }
}

function readHead(bytes) {
  if (bytes.length < 2) return null;
  if (bytes[0] & 0x70) throw new Error("a reserved bit is set");
  if (!(bytes[1] & 0x80)) throw new Error("a client's frame is not masked");
  const short = bytes[1] & 0x7f;
  const sizeBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const start = 2 + sizeBytes + 4;
  if (bytes.length < start) return null;
  return {
    fin: (bytes[0] & 0x80) !== 0,
    opcode: bytes[0] & 0x0f,
    mask: bytes.subarray(start - 4, start),
    start,
    end: start + readSize(bytes, short),
  };
}

function readSize(bytes, short) {
  if (short === 126) return bytes.readUInt16BE(2);
  return short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
}
