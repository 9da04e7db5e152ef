//! What is sound, and what those who run it should know all the same.

use super::model::{Config, Name, Pool};

impl Config {
    /// A line for each thing that may surprise, with the path of its key.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.pools.iter().filter_map(lonely_cookies)
    }
}

/// A sticky cookie whose key nobody else has.
fn lonely_cookies((name, pool): (&Name, &Pool)) -> Option<String> {
    let sticky = pool.sticky.as_ref()?;
    sticky.secret.is_none().then(|| {
        format!(
            "pools.{name}.sticky: there is no `secret`, so this process makes a key of its own: \
             cookies do not survive a restart and are not shared between instances"
        )
    })
}
