//! Buffers that the kernel fills: it takes one when bytes come, so that a connection that waits holds none.
//!
//! They are shared with the kernel through a table in memory (io_uring_register(2), IORING_REGISTER_PBUF_RING), which
//! needs `unsafe`. The invariant: a buffer belongs either to the kernel or to one [`Filled`], never to both.

#![expect(unsafe_code, reason = "memory that is shared with the system")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// The number of buffers, a power of two: enough for what a busy worker receives between two turns of its driver.
pub(super) const COUNT: u16 = 512;
/// The size of each.
pub(super) const SIZE: usize = 2048;

/// The kernel requires a page-aligned table. Pages have 4 KiB; on some ARM systems 16 or 64 KiB.
const LARGEST_PAGE: usize = 64 * 1024;

/// The size of the table, which is at the beginning of the block; the buffers follow it.
const TABLE: usize = COUNT as usize * size_of::<BufRingEntry>();

/// The buffers of a ring.
#[derive(Debug)]
pub(super) struct Buffers {
    block: NonNull<u8>,
    /// The end of the table, where buffers are returned to the kernel.
    tail: u16,
    /// How many buffers do not belong to the kernel.
    taken: u16,
}

/// A buffer that the kernel has filled; must be [given back](Buffers::give_back).
#[derive(Debug)]
pub(super) struct Filled {
    number: u16,
    bytes: Range<u16>,
}

impl Buffers {
    /// Allocates the block, and gives all buffers to the kernel.
    pub(super) fn new() -> Self {
        let layout = layout();
        // SAFETY: the layout is not empty.
        let block = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(block) else {
            handle_alloc_error(layout)
        };
        let mut buffers = Self {
            block,
            tail: 0,
            taken: 0,
        };
        for number in 0..COUNT {
            buffers.enter(number);
        }
        buffers
    }

    /// The address of the table.
    pub(super) fn table(&self) -> u64 {
        self.block.as_ptr().expose_provenance() as u64
    }

    /// Takes over the buffer with this number, which the kernel has filled with `length` bytes.
    ///
    /// # Safety
    /// A completion has just said so, and each completion is claimed once.
    pub(super) unsafe fn claim(&mut self, number: u16, length: usize) -> Filled {
        self.taken += 1;
        debug_assert!(
            number < COUNT && length <= SIZE,
            "not a buffer of the table"
        );
        let length = u16::try_from(length.min(SIZE)).expect("a buffer is smaller than 64 KiB");
        Filled {
            number,
            bytes: 0..length,
        }
    }

    /// The unread bytes of a buffer.
    pub(super) fn bytes(&self, filled: &Filled) -> &[u8] {
        let Range { start, end } = filled.bytes;
        // SAFETY: a `Filled` refers to a buffer of the block that the kernel does not write to until it is given
        // back, and to bytes that the kernel has written there.
        unsafe {
            let first = self.buffer(filled.number).add(start.into());
            std::slice::from_raw_parts(first.as_ptr(), (end - start).into())
        }
    }

    /// Returns a buffer to the kernel.
    pub(super) fn give_back(&mut self, filled: Filled) {
        self.taken -= 1;
        self.enter(filled.number);
    }

    /// Whether the kernel has less than half of the buffers.
    pub(super) fn are_scarce(&self) -> bool {
        self.taken > COUNT / 2
    }

    fn enter(&mut self, number: u16) {
        let table = self.block.cast::<BufRingEntry>();
        // SAFETY: the entry is inside the table, which is at the beginning of the block and aligned as the block is; the
        // kernel reads it only after the tail has moved. The tail is in the table too, in bytes that no entry uses.
        unsafe {
            let entry = &mut *table.add((self.tail % COUNT).into()).as_ptr();
            entry.set_addr(self.buffer(number).as_ptr().expose_provenance() as u64);
            entry.set_len(u32::try_from(SIZE).expect("buffers are small"));
            entry.set_bid(number);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(table.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// The address of the buffer with this number.
    fn buffer(&self, number: u16) -> NonNull<u8> {
        let offset = TABLE + usize::from(number % COUNT) * SIZE;
        // SAFETY: the offset is inside the block.
        unsafe { self.block.add(offset) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout. The ring is closed, so the kernel no longer uses the block.
        unsafe { dealloc(self.block.as_ptr(), layout()) }
    }
}

impl Filled {
    /// How many bytes are unread.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the kernel filled it, so that there was probably more to receive.
    pub(super) fn is_full(&self) -> bool {
        self.len() == SIZE
    }

    /// Drops `count` bytes from the front. True if none are left.
    pub(super) fn take(&mut self, count: usize) -> bool {
        let count = u16::try_from(count).expect("not more than the buffer holds");
        self.bytes.start += count;
        self.bytes.is_empty()
    }
}

fn layout() -> Layout {
    Layout::from_size_align(TABLE + usize::from(COUNT) * SIZE, LARGEST_PAGE)
        .expect("a valid layout")
}
