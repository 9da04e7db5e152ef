//! Buffers that the system fills: it takes one when bytes come, so that a connection that waits holds none.
//!
//! Shared with the system through a table in memory (io_uring_register(2), IORING_REGISTER_PBUF_RING), which
//! takes `unsafe`. What keeps it sound: a buffer is the system's or that of one [`Filled`], never both.

#![expect(unsafe_code, reason = "memory that is shared with the system")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// How many there are, a power of two. They are enough for what comes between two looks at a busy worker.
pub(super) const COUNT: u16 = 512;
/// The size of each.
pub(super) const SIZE: usize = 2048;

/// The table of buffers that the system may fill begins the block; the buffers follow it.
const TABLE: usize = COUNT as usize * size_of::<BufRingEntry>();

/// The buffers of a ring.
#[derive(Debug)]
pub(super) struct Buffers {
    block: NonNull<u8>,
    /// The table's end; a buffer that is given to the system is entered there.
    tail: u16,
    /// How many are not the system's.
    taken: u16,
}

/// A buffer that the system has filled, until it is given back.
#[derive(Debug)]
pub(super) struct Filled {
    number: u16,
    bytes: Range<u16>,
}

impl Buffers {
    /// All buffers, entered in the table.
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

    /// Where the table is.
    pub(super) fn table(&self) -> u64 {
        self.block.as_ptr().expose_provenance() as u64
    }

    /// The buffer with this number, which the system has filled with so many bytes.
    ///
    /// # Safety
    /// The system has just said so, in a completion, and each is claimed once.
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

    /// What a buffer holds that has not been taken.
    pub(super) fn bytes(&self, filled: &Filled) -> &[u8] {
        let Range { start, end } = filled.bytes;
        // SAFETY: a `Filled` names a buffer of the block, which the system does not write to until it is given
        // back, and bytes that it has written there.
        unsafe {
            let first = self.buffer(filled.number).add(start.into());
            std::slice::from_raw_parts(first.as_ptr(), (end - start).into())
        }
    }

    /// Gives a buffer back to the system.
    pub(super) fn give_back(&mut self, filled: Filled) {
        self.taken -= 1;
        self.enter(filled.number);
    }

    /// Whether most of them are not the system's.
    pub(super) fn are_scarce(&self) -> bool {
        self.taken > COUNT / 2
    }

    fn enter(&mut self, number: u16) {
        let table = self.block.cast::<BufRingEntry>();
        // SAFETY: the place is in the table, which begins the block and is aligned as the block is; the system
        // reads it only after the tail says so. The tail lies in the table too, at a place that no entry uses.
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

    /// Where the buffer with this number begins.
    fn buffer(&self, number: u16) -> NonNull<u8> {
        let offset = TABLE + usize::from(number % COUNT) * SIZE;
        // SAFETY: the offset is inside the block.
        unsafe { self.block.add(offset) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout. The ring is gone, so the system does not use it any more.
        unsafe { dealloc(self.block.as_ptr(), layout()) }
    }
}

impl Filled {
    /// How many bytes have not been taken.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the system had more to put in than there was room for, as far as that shows.
    pub(super) fn is_full(&self) -> bool {
        self.len() == SIZE
    }

    /// Takes bytes from the front; whether those were the last.
    pub(super) fn take(&mut self, count: usize) -> bool {
        let count = u16::try_from(count).expect("not more than the buffer holds");
        self.bytes.start += count;
        self.bytes.is_empty()
    }
}

fn layout() -> Layout {
    // The system wants the table at the beginning of a page.
    Layout::from_size_align(TABLE + usize::from(COUNT) * SIZE, 4096).expect("a valid layout")
}
