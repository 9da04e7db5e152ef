//! Writers for tests that keep what is written.

use std::io;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk with limited room.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) room: usize,
    /// The room that there is from the end of this many further failures on.
    pub(super) grows_after_failures: Option<(usize, usize)>,
    pub(super) kept: Vec<u8>,
}

impl Disk {
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    fn fail(&mut self) -> io::Error {
        if let Some((failures, room)) = &mut self.grows_after_failures {
            *failures -= 1;
            if *failures == 0 {
                self.room = *room;
                self.grows_after_failures = None;
            }
        }
        io::ErrorKind::StorageFull.into()
    }
}

impl io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(self.fail());
        }
        self.room -= count;
        self.kept.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
