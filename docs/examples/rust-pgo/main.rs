// SPDX-License-Identifier: GPL-2.0-only
//
// main.rs - reads log lines, as servers write them, and adds up what they say. One function reads
// fields of all kinds: too large to be inlined everywhere, worth it where most lines go through.
// The argument says how often the lines are read.

#[derive(Clone, Copy)]
enum Kind {
    Number,
    Hex,
    Text,
    Address,
    Time,
    Skip,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fail(&mut self, why: &str) -> Option<u64> {
        self.errors.push(format!("{why} at {}", self.at));
        while !matches!(self.peek(), None | Some(b' ' | b'\n')) {
            self.at += 1;
        }
        None
    }

    fn decimal(&mut self) -> u64 {
        let mut n = 0u64;
        while let Some(c @ b'0'..=b'9') = self.peek() {
            n = n.wrapping_mul(10).wrapping_add(u64::from(c - b'0'));
            self.at += 1;
        }
        n
    }

    fn digits(&mut self, out: &mut u64, base: u32) -> bool {
        let start = self.at;
        while let Some(d) = self.peek().and_then(|c| char::from(c).to_digit(base)) {
            *out = out.wrapping_mul(u64::from(base)).wrapping_add(u64::from(d));
            self.at += 1;
        }
        self.at > start
    }

    /// Read one field and the blank behind it.
    fn field(&mut self, kind: Kind) -> Option<u64> {
        let mut n = 0;
        match kind {
            Kind::Number => {
                if !self.digits(&mut n, 10) {
                    return self.fail("no number");
                }
            }
            Kind::Hex => {
                if !self.digits(&mut n, 16) {
                    return self.fail("no hexadecimal number");
                }
            }
            Kind::Text => {
                while let Some(c) = self.peek().filter(|c| !matches!(c, b' ' | b'\n')) {
                    n = (n ^ u64::from(c)).wrapping_mul(0x100_0000_01b3);
                    self.at += 1;
                }
            }
            Kind::Address => {
                for i in 0..4 {
                    let part = self.decimal();
                    if part > 255 || (i < 3 && self.peek() != Some(b'.')) {
                        return self.fail("no address");
                    }
                    self.at += usize::from(i < 3);
                    n = n << 8 | part;
                }
            }
            Kind::Time => {
                for i in 0..3 {
                    n = n * 60 + self.decimal();
                    if i < 2 && self.peek() != Some(b':') {
                        return self.fail("no time");
                    }
                    self.at += usize::from(i < 2);
                }
            }
            Kind::Skip => {
                while !matches!(self.peek(), None | Some(b' ' | b'\n')) {
                    self.at += 1;
                }
            }
        }
        self.at += usize::from(self.peek() == Some(b' '));
        Some(n)
    }
}

fn read_lines(log: &[u8]) -> (u64, u64) {
    let mut r = Reader { bytes: log, at: 0, errors: Vec::new() };
    let (mut lines, mut sum) = (0, 0u64);
    while r.peek().is_some() {
        for kind in [Kind::Time, Kind::Address, Kind::Number, Kind::Number, Kind::Hex, Kind::Text] {
            sum = sum.wrapping_add(r.field(kind).unwrap_or(1));
        }
        while !matches!(r.peek(), None | Some(b'\n')) {
            sum = sum.wrapping_add(r.field(Kind::Skip).unwrap_or(1));
        }
        r.at += 1;
        lines += 1;
    }
    (lines, sum.wrapping_add(r.errors.len() as u64))
}

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(100);
    let mut x = 88172645463325252u64;
    let mut log = String::new();
    for i in 0..20000u64 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        log += &format!("{:02}:{:02}:{:02} 10.{}.{}.{} {} {} {:x} /a/{:x}{}\n", i / 3600 % 24,
            i / 60 % 60, i % 60, x & 255, x >> 8 & 255, x >> 16 & 255,
            if i % 50 > 0 { 200 } else { 404 }, x >> 20 & 65535, x >> 32, x & 0xfffff,
            if i % 40 > 0 { "" } else { " an agent" });
    }
    let (mut lines, mut sum) = (0, 0u64);
    for _ in 0..rounds {
        let (l, s) = read_lines(log.as_bytes());
        lines += l;
        sum = sum.wrapping_add(s);
    }
    println!("{lines} lines, sum {sum:016x}");
}
