//! What is sound, and what those who run it should know all the same.

use super::model::{Config, Name, Pool, Route, Target};

impl Config {
    /// A line for each thing that may surprise, with the path of its key.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let pools = self.pools.iter().filter_map(lonely_cookies);
        pools.chain(self.routes.iter().flat_map(foreign_variables))
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

/// Fields whose values other proxies would replace.
fn foreign_variables<'c>((name, route): (&'c Name, &'c Route)) -> impl Iterator<Item = String> {
    let set = match &route.target {
        Target::Pool(target) => &*target.headers.set,
        Target::Respond(_) | Target::Redirect(_) => &[],
    };
    let is_variable = |value: &[u8]| matches!(value, [b'$', b'a'..=b'z', ..]);
    let found = set
        .iter()
        .filter(move |(_, value)| is_variable(value.as_bytes()));
    found.map(move |(field, _)| {
        format!(
            "routes.{name}: backends get the field `{field}` as `headers.set` has it, with its `$`: there are no variables \
             but those of the environment, `${{NAME}}`"
        )
    })
}
