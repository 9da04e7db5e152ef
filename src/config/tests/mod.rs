//! The room as a whole: texts in, configurations or problems out.

mod files;
