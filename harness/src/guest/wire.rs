//! The agent's wire format (described in `images/agent/agent.c`): pure encoding and decoding.
//!
//! A batch may be larger than a frame: writes and reads are cut into pieces and put together again here, so nothing
//! above knows of frames.

use crate::arch::{Endian, WordSize};
use crate::sys::{Op, Replies};

const MAGIC_HELLO: u32 = 0x4b46_4831;
const MAGIC_REQUEST: u32 = 0x4b46_5131;
const MAGIC_REPLY: u32 = 0x4b46_5231;
const VERSION: u32 = 1;
const POKE: u32 = 1;
const ZERO: u32 = 2;
const CALL: u32 = 3;
const PEEK: u32 = 4;

/// Bytes of the agent's first message.
pub const HELLO_LEN: usize = 32;
/// Bytes in front of a request or a reply.
pub const HEAD_LEN: usize = 16;
/// Longest body in either direction: a quarter of the agent's buffers, so that a UART's flow is never outrun.
const FRAME: usize = 256 << 10;
/// Longest piece of one write or read.
const PIECE: usize = 128 << 10;

/// The agent's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Address of the arena.
    pub arena_base: u64,
    /// Its length in bytes.
    pub arena_len: u64,
}

fn u32_at(bytes: &[u8], at: usize, endian: Endian) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    match endian {
        Endian::Little => u32::from_le_bytes(four),
        Endian::Big => u32::from_be_bytes(four),
    }
}

fn u64_at(bytes: &[u8], at: usize, endian: Endian) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    match endian {
        Endian::Little => u64::from_le_bytes(eight),
        Endian::Big => u64::from_be_bytes(eight),
    }
}

/// Reads the agent's first message and checks that it is the agent the arch file promises.
///
/// # Errors
/// In words, for [`super::GuestError::Protocol`].
pub fn hello(bytes: &[u8; HELLO_LEN], endian: Endian, word: WordSize) -> Result<Hello, String> {
    let magic = u32_at(bytes, 0, endian);
    if magic != MAGIC_HELLO {
        let swapped = magic == MAGIC_HELLO.swap_bytes();
        let hint = if swapped { " (its byte order is not the one in the arch file)" } else { "" };
        return Err(format!("the first word is {magic:#x}, not an agent's{hint}"));
    }
    let version = u32_at(bytes, 4, endian);
    if version != VERSION {
        return Err(format!("the agent speaks version {version} of the protocol, the harness {VERSION}"));
    }
    let bits = u32_at(bytes, 8, endian);
    if u64::from(bits) != word.bytes() * 8 {
        return Err(format!("the agent has words of {bits} bits, the arch file says {}", word.bytes() * 8));
    }
    Ok(Hello { arena_base: u64_at(bytes, 16, endian), arena_len: u64_at(bytes, 24, endian) })
}

/// Checks a reply's head and gives the length of its body.
///
/// # Errors
/// In words.
pub fn reply_len(head: &[u8; HEAD_LEN], sequence: u32, endian: Endian) -> Result<usize, String> {
    let magic = u32_at(head, 0, endian);
    if magic != MAGIC_REPLY {
        return Err(format!("a reply begins with {magic:#x}"));
    }
    if u32_at(head, 4, endian) != sequence {
        return Err("a reply to another request".into());
    }
    match u32_at(head, 8, endian) {
        0 => {}
        1 => return Err("the agent found the request malformed".into()),
        2 => return Err("the agent found the reply too long".into()),
        other => return Err(format!("the agent answered status {other}")),
    }
    let len = u32_at(head, 12, endian) as usize;
    if len > FRAME { Err(format!("a reply of {len} bytes")) } else { Ok(len) }
}

/// What one element of a reply's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Result of a call.
    Call,
    /// Part of a read; `last` when the read is complete with it.
    Piece { len: usize, last: bool },
}

/// One frame to the agent.
#[derive(Debug)]
pub struct Request {
    ops: u32,
    body: Vec<u8>,
    endian: Endian,
    expected: Vec<Expected>,
    /// Bytes its reply's body must have.
    pub reply_len: usize,
}

impl Request {
    fn new(endian: Endian) -> Self {
        Self { ops: 0, body: Vec::new(), endian, expected: Vec::new(), reply_len: 0 }
    }

    fn u32(&mut self, value: u32) {
        match self.endian {
            Endian::Little => self.body.extend(value.to_le_bytes()),
            Endian::Big => self.body.extend(value.to_be_bytes()),
        }
    }

    fn u64(&mut self, value: u64) {
        match self.endian {
            Endian::Little => self.body.extend(value.to_le_bytes()),
            Endian::Big => self.body.extend(value.to_be_bytes()),
        }
    }

    fn op(&mut self, kind: u32, at: u64, len: u64) {
        self.ops += 1;
        self.u32(kind);
        self.u32(0);
        self.u64(at);
        self.u64(len);
    }

    /// The frame's bytes.
    pub fn encode(&self, sequence: u32) -> Vec<u8> {
        let mut head = Self::new(self.endian);
        head.u32(MAGIC_REQUEST);
        head.u32(sequence);
        head.u32(self.ops);
        head.u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        let mut bytes = head.body;
        bytes.extend(&self.body);
        bytes
    }

    /// Takes a reply's body (of `reply_len` bytes) apart. `partial` carries a read that goes on in the next frame.
    pub fn decode(&self, body: &[u8], replies: &mut Replies, partial: &mut Vec<u8>) {
        let mut at = 0;
        for expected in &self.expected {
            match *expected {
                Expected::Call => {
                    replies.calls.push(u64_at(body, at, self.endian).cast_signed());
                    at += 8;
                }
                Expected::Piece { len, last } => {
                    partial.extend(&body[at..at + len]);
                    at += len.next_multiple_of(8);
                    if last {
                        replies.peeks.push(std::mem::take(partial));
                    }
                }
            }
        }
    }
}

/// Cuts operations into frames.
pub fn requests(ops: &[Op], endian: Endian) -> Vec<Request> {
    let mut frames = Frames { done: Vec::new(), current: Request::new(endian), endian };
    for op in ops {
        match op {
            Op::Poke { at, bytes } => {
                let mut at = *at;
                for piece in bytes.chunks(PIECE) {
                    let frame = frames.with_room(24 + piece.len().next_multiple_of(8), 0);
                    frame.op(POKE, at, piece.len() as u64);
                    frame.body.extend(piece);
                    frame.body.resize(frame.body.len().next_multiple_of(8), 0);
                    at += piece.len() as u64;
                }
            }
            Op::Zero { at, len } => frames.with_room(24, 0).op(ZERO, *at, *len),
            Op::Call { nr, args } => {
                let frame = frames.with_room(64, 8);
                frame.op(CALL, *nr, args[0]);
                for arg in &args[1..] {
                    frame.u64(*arg);
                }
                frame.expected.push(Expected::Call);
                frame.reply_len += 8;
            }
            Op::Peek { at, len } => {
                let (mut at, mut left) = (*at, usize::try_from(*len).unwrap_or(usize::MAX));
                loop {
                    let piece = left.min(PIECE);
                    left -= piece;
                    let frame = frames.with_room(24, piece.next_multiple_of(8));
                    frame.op(PEEK, at, piece as u64);
                    frame.expected.push(Expected::Piece { len: piece, last: left == 0 });
                    frame.reply_len += piece.next_multiple_of(8);
                    at += piece as u64;
                    if left == 0 {
                        break;
                    }
                }
            }
        }
    }
    frames.finish()
}

/// Frames under construction.
struct Frames {
    done: Vec<Request>,
    current: Request,
    endian: Endian,
}

impl Frames {
    /// The frame that takes `body` more bytes and whose reply takes `reply` more.
    fn with_room(&mut self, body: usize, reply: usize) -> &mut Request {
        if self.current.body.len() + body > FRAME || self.current.reply_len + reply > FRAME {
            let full = std::mem::replace(&mut self.current, Request::new(self.endian));
            self.done.push(full);
        }
        &mut self.current
    }

    fn finish(mut self) -> Vec<Request> {
        if self.current.ops > 0 {
            self.done.push(self.current);
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the agent does, on a memory of our own.
    fn agent(frame: &[u8], memory: &mut [u8], endian: Endian) -> Vec<u8> {
        let ops = u32_at(frame, 8, endian);
        let body = &frame[HEAD_LEN..];
        assert_eq!(body.len(), u32_at(frame, 12, endian) as usize);
        let (mut at, mut out) = (0, Vec::new());
        for _ in 0..ops {
            let (kind, address, len) =
                (u32_at(body, at, endian), u64_at(body, at + 8, endian) as usize, u64_at(body, at + 16, endian));
            at += 24;
            match kind {
                POKE => {
                    memory[address..address + len as usize].copy_from_slice(&body[at..at + len as usize]);
                    at += (len as usize).next_multiple_of(8);
                }
                ZERO => memory[address..address + len as usize].fill(0),
                CALL => {
                    let sum = len + u64_at(body, at, endian);
                    at += 40;
                    out.extend(if endian == Endian::Little { sum.to_le_bytes() } else { sum.to_be_bytes() });
                }
                PEEK => {
                    out.extend(&memory[address..address + len as usize]);
                    out.resize(out.len().next_multiple_of(8), 0);
                }
                _ => panic!("kind {kind}"),
            }
        }
        out
    }

    #[test]
    fn large_batches_survive_being_cut() {
        for endian in [Endian::Little, Endian::Big] {
            let data: Vec<u8> = (0..700_001u32).map(|i| (i * 7) as u8).collect();
            let ops = [
                Op::Poke { at: 3, bytes: data.clone() },
                Op::Call { nr: 1, args: [40, 2, 0, 0, 0, 0] },
                Op::Peek { at: 3, len: data.len() as u64 },
                Op::Zero { at: 3, len: 5 },
                Op::Peek { at: 0, len: 10 },
                Op::Peek { at: 0, len: 0 },
                Op::Call { nr: 1, args: [u64::MAX, 0, 0, 0, 0, 0] },
            ];
            let mut memory = vec![9; 800_000];
            let (mut replies, mut partial) = (Replies::default(), Vec::new());
            let frames = requests(&ops, endian);
            assert!(frames.len() > 3);
            for (sequence, request) in frames.iter().enumerate() {
                let frame = request.encode(sequence as u32);
                assert!(frame.len() <= HEAD_LEN + FRAME);
                let body = agent(&frame, &mut memory, endian);
                assert_eq!(body.len(), request.reply_len);
                request.decode(&body, &mut replies, &mut partial);
            }
            assert_eq!(replies.calls, [42, -1]);
            assert_eq!(replies.peeks.len(), 3);
            assert!(replies.peeks[0] == data);
            assert_eq!(replies.peeks[1], [9, 9, 9, 0, 0, 0, 0, 0, data[5], data[6]]);
        }
    }

    #[test]
    fn a_hostile_agent_is_refused() {
        let mut bytes = [0; HELLO_LEN];
        bytes[..4].copy_from_slice(&MAGIC_HELLO.to_be_bytes());
        assert!(hello(&bytes, Endian::Little, WordSize::Bits64).unwrap_err().contains("byte order"));
        bytes[..4].copy_from_slice(&MAGIC_HELLO.to_le_bytes());
        bytes[4] = 1;
        bytes[8] = 32;
        assert!(hello(&bytes, Endian::Little, WordSize::Bits64).unwrap_err().contains("32 bits"));
        assert!(hello(&bytes, Endian::Little, WordSize::Bits32).is_ok());

        let mut head = [0; HEAD_LEN];
        assert!(reply_len(&head, 0, Endian::Little).is_err());
        head[..4].copy_from_slice(&MAGIC_REPLY.to_le_bytes());
        assert_eq!(reply_len(&head, 0, Endian::Little), Ok(0));
        assert!(reply_len(&head, 1, Endian::Little).unwrap_err().contains("another request"));
        head[12..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(reply_len(&head, 0, Endian::Little).is_err());
    }
}
