//! What is measured: the cases by name, their loads, their columns and their bars.

/// The load of a case.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// All sessions send message after message, each when the last one came back.
    Echo { size: usize },
    /// Connections that upgrade, echo one message and close.
    Connect,
    /// Sessions that echoed one message and are silent.
    Idle,
    /// Messages on a fixed schedule, over all sessions.
    Latency { size: usize },
}

/// A figure of the proxy that must not exceed this one of a reference.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    /// At most this many times the named proxy's.
    Ratio(&'static str, f64),
    /// At most this.
    Absolute(f64),
    /// At most this many percent more than where frames are not followed.
    Following(f64),
}

/// One case.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    pub(crate) tls: bool,
    pub(crate) sessions: usize,
    /// The first bars of wsgate.
    pub(crate) bars: &'static [Bar],
}

impl Load {
    /// The size of the messages in bytes.
    pub(crate) fn message_size(self) -> usize {
        match self {
            Self::Echo { size } | Self::Latency { size } => size,
            Self::Connect | Self::Idle => 64,
        }
    }

    /// What the figures of a run are, in order.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Echo { .. } => &["messages/s", "CPU µs/message"],
            Self::Connect => &["handshakes/s", "CPU µs/handshake"],
            Self::Idle => &["RSS KiB/session", "PSS KiB/session"],
            Self::Latency { .. } => &["messages/s", "CPU µs/message", "p50 µs", "p99 µs"],
        }
    }

    /// How often each proxy has its turn where `rounds` were asked for.
    pub(crate) fn rounds(self, rounds: usize) -> usize {
        match self {
            Self::Echo { .. } | Self::Connect | Self::Latency { .. } => rounds,
            // Memory does not scatter.
            Self::Idle => rounds.min(2),
        }
    }

    /// The column that is compared: the last.
    pub(crate) fn key_column(self) -> usize {
        self.columns().len() - 1
    }
}

impl Case {
    /// What it is called in a table.
    pub(crate) fn title(&self) -> String {
        let sessions = self.sessions;
        let load = match self.load {
            Load::Echo { size } => format!("{}, {sessions} sessions", bytes(size)),
            Load::Connect => "connection, upgrade, one echo, close".to_owned(),
            Load::Idle => format!("idle, {sessions} sessions"),
            Load::Latency { size } => {
                format!("{} on a schedule, {sessions} sessions", bytes(size))
            }
        };
        if self.tls {
            format!("{load}, TLS")
        } else {
            load
        }
    }
}

fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// What looking into the frames may cost.
const FOLLOWING: Bar = Bar::Following(3.0);

const fn echo(name: &'static str, size: usize, sessions: usize, bars: &'static [Bar]) -> Case {
    Case {
        name,
        load: Load::Echo { size },
        tls: false,
        sessions,
        bars,
    }
}

const fn over_tls(case: Case) -> Case {
    Case { tls: true, ..case }
}

/// All cases, in the order in which they run.
pub(crate) const CASES: &[Case] = &[
    echo(
        "echo-64b-100",
        64,
        100,
        &[
            Bar::Ratio("nginx", 1.05),
            Bar::Ratio("haproxy", 0.75),
            FOLLOWING,
        ],
    ),
    echo(
        "echo-64b-1000",
        64,
        1000,
        &[Bar::Ratio("nginx", 0.90), FOLLOWING],
    ),
    echo(
        "echo-16k",
        16 << 10,
        50,
        &[
            Bar::Ratio("nginx", 0.40),
            Bar::Ratio("nginx-64k", 0.95),
            FOLLOWING,
        ],
    ),
    echo(
        "echo-1m",
        1 << 20,
        8,
        &[
            Bar::Ratio("nginx", 0.30),
            Bar::Ratio("nginx-64k", 0.90),
            FOLLOWING,
        ],
    ),
    over_tls(echo(
        "tls-echo-64b",
        64,
        100,
        &[Bar::Ratio("nginx", 0.80), FOLLOWING],
    )),
    over_tls(echo("tls-echo-16k", 16 << 10, 50, &[FOLLOWING])),
    over_tls(echo("tls-echo-1m", 1 << 20, 8, &[FOLLOWING])),
    Case {
        name: "connect",
        load: Load::Connect,
        tls: false,
        sessions: 32,
        bars: &[Bar::Ratio("nginx", 1.2)],
    },
    Case {
        name: "tls-connect",
        load: Load::Connect,
        tls: true,
        sessions: 32,
        bars: &[Bar::Ratio("nginx", 0.55)],
    },
    Case {
        name: "idle-plain",
        load: Load::Idle,
        tls: false,
        sessions: 4000,
        bars: &[Bar::Absolute(2.0)],
    },
    Case {
        name: "idle-tls",
        load: Load::Idle,
        tls: true,
        sessions: 4000,
        bars: &[Bar::Absolute(10.0)],
    },
    Case {
        name: "latency",
        load: Load::Latency { size: 64 },
        tls: false,
        sessions: 100,
        bars: &[Bar::Ratio("nginx", 1.0)],
    },
];
