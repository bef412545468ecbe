//! The form of a compose file for `docker stack deploy`: which keys there are, since which version of
//! the format, and what each takes.
//!
//! Source: docker/cli, cli/compose/schema/data (3.0 to 3.13), and for numbers that must not be
//! negative cli/compose/types, which the values are read into.

/// The newest version of the format, as `3.13`.
pub(super) const NEWEST: u8 = 13;

/// What a value may be. The kinds of YAML tell the forms apart: there is one of each at most.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub text: Option<Format>,
    pub number: Option<Digits>,
    /// `true` or `false`.
    pub flag: bool,
    /// No value at all.
    pub empty: bool,
    pub list: Option<List>,
    pub map: Option<&'static Entries>,
}

/// What a text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Free,
    /// As Go reads it: `1m30s`.
    Duration,
    /// An amount of memory: `512M`.
    Size,
    /// A published port: `8080:80/tcp`.
    Port,
    /// A mount: `data:/data:ro`.
    Mount,
    /// A command line, split as a shell does.
    Command,
    /// The order in which an update replaces tasks.
    Order,
}

/// Which numbers are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Any,
    NotNegative,
    Whole,
    WholeNotNegative,
    /// A whole number that is written as one: not 2.0.
    Integer,
    /// The same, up to 65535.
    Port,
}

/// A list, and what its items are.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub item: &'static Shape,
    pub unique: Unique,
}

/// Whether the same item may stand in a list twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unique {
    No,
    Yes,
    /// Only in versions before this one.
    Before(u8),
}

/// A mapping.
pub(super) struct Entries {
    /// What it is, as messages name it.
    pub owner: &'static str,
    /// First version that takes a mapping here.
    pub since: u8,
    pub keys: &'static [Key],
    pub required: &'static [&'static str],
    pub others: Others,
}

/// A key of a mapping.
pub(super) struct Key {
    pub name: &'static str,
    pub since: u8,
    pub shape: &'static Shape,
}

/// What becomes of keys that a mapping does not list.
pub(super) enum Others {
    Refused,
    /// Refused in versions before this one, then ignored.
    RefusedBefore(u8),
    Ignored,
    /// Refused, but for `x-…` since this version.
    Extensions(u8),
    /// Any name, whose value has this form.
    Named(&'static Shape),
    /// A name of `a-z A-Z 0-9 . _ -`, whose value has this form.
    Identifiers(&'static Shape),
    /// As before, but other names are let through with any value.
    LooseIdentifiers(&'static Shape),
    /// A name of small letters, whose value has this form; others are not checked.
    SmallLetters(&'static Shape),
}

const NOTHING: Shape = Shape {
    text: None,
    number: None,
    flag: false,
    empty: false,
    list: None,
    map: None,
};

const fn text_shape(format: Format) -> Shape {
    Shape {
        text: Some(format),
        ..NOTHING
    }
}

const fn number_shape(digits: Digits) -> Shape {
    Shape {
        number: Some(digits),
        ..NOTHING
    }
}

const fn map_shape(entries: &'static Entries) -> Shape {
    Shape {
        map: Some(entries),
        ..NOTHING
    }
}

const fn list_shape(item: &'static Shape, unique: Unique) -> Shape {
    Shape {
        list: Some(List { item, unique }),
        ..NOTHING
    }
}

const fn map_entries(owner: &'static str, keys: &'static [Key], others: Others) -> Entries {
    Entries {
        owner,
        since: 0,
        keys,
        required: &[],
        others,
    }
}

const fn plain_key(name: &'static str, shape: &'static Shape) -> Key {
    Key {
        name,
        since: 0,
        shape,
    }
}

const fn later_key(since: u8, name: &'static str, shape: &'static Shape) -> Key {
    Key { name, since, shape }
}

static TEXT: Shape = text_shape(Format::Free);
static DURATION: Shape = text_shape(Format::Duration);
static SIZE: Shape = text_shape(Format::Size);
static ORDER: Shape = text_shape(Format::Order);
static FLAG: Shape = Shape {
    flag: true,
    ..NOTHING
};
static NUMBER: Shape = number_shape(Digits::Any);
static WHOLE: Shape = number_shape(Digits::Whole);
static INTEGER: Shape = number_shape(Digits::Integer);
static COUNT: Shape = number_shape(Digits::WholeNotNegative);
static NUMBER_OR_TEXT: Shape = Shape {
    number: Some(Digits::Any),
    ..TEXT
};
static MODE: Shape = number_shape(Digits::NotNegative);
static TEXT_OR_EMPTY: Shape = Shape {
    empty: true,
    ..TEXT
};
/// What an environment variable, a label or an option is: a text, a number or nothing.
static PLAIN: Shape = Shape {
    number: Some(Digits::Any),
    empty: true,
    ..TEXT
};
static TEXTS: Shape = list_shape(&TEXT, Unique::No);
static UNIQUE_TEXTS: Shape = list_shape(&TEXT, Unique::Yes);
static TEXT_OR_TEXTS: Shape = Shape {
    list: UNIQUE_TEXTS.list,
    ..TEXT
};
static COMMAND: Shape = Shape {
    list: TEXTS.list,
    ..text_shape(Format::Command)
};
static TEST: Shape = Shape {
    list: TEXTS.list,
    ..TEXT
};
static PAIRS: Shape = Shape {
    list: UNIQUE_TEXTS.list,
    ..map_shape(&PAIR_ENTRIES)
};
static PAIR_ENTRIES: Entries = map_entries("it", &[], Others::Named(&PLAIN));
static OPTIONS: Shape = map_shape(&OPTION_ENTRIES);
static OPTION_ENTRIES: Entries = map_entries("it", &[], Others::Named(&NUMBER_OR_TEXT));

/// The whole file.
pub(super) static FILE: Entries = map_entries(
    "a stack file",
    &[
        plain_key("version", &TEXT),
        plain_key(
            "services",
            &map_shape(&map_entries(
                "`services`",
                &[],
                Others::Identifiers(&SERVICE),
            )),
        ),
        plain_key(
            "networks",
            &map_shape(&map_entries(
                "`networks`",
                &[],
                Others::LooseIdentifiers(&NETWORK),
            )),
        ),
        plain_key(
            "volumes",
            &map_shape(&map_entries("`volumes`", &[], Others::Identifiers(&VOLUME))),
        ),
        later_key(
            1,
            "secrets",
            &map_shape(&map_entries("`secrets`", &[], Others::Identifiers(&SECRET))),
        ),
        later_key(
            3,
            "configs",
            &map_shape(&map_entries("`configs`", &[], Others::Identifiers(&CONFIG))),
        ),
    ],
    // Those at the top are matou's to read, and are not deployed.
    Others::Extensions(0),
);

static SERVICE: Shape = map_shape(&SERVICE_ENTRIES);

static SERVICE_ENTRIES: Entries = map_entries(
    "a service",
    &[
        plain_key("deploy", &DEPLOY),
        plain_key(
            "build",
            &Shape {
                map: Some(&BUILD),
                ..TEXT
            },
        ),
        plain_key("cap_add", &UNIQUE_TEXTS),
        plain_key("cap_drop", &UNIQUE_TEXTS),
        later_key(9, "cgroupns_mode", &TEXT),
        plain_key("cgroup_parent", &TEXT),
        plain_key("command", &COMMAND),
        later_key(3, "configs", &FILE_REFERENCES),
        plain_key("container_name", &TEXT),
        later_key(3, "credential_spec", &CREDENTIAL_SPEC),
        plain_key("depends_on", &UNIQUE_TEXTS),
        plain_key("devices", &UNIQUE_TEXTS),
        plain_key("dns", &TEXT_OR_TEXTS),
        plain_key("dns_search", &TEXT_OR_TEXTS),
        plain_key("domainname", &TEXT),
        plain_key("entrypoint", &COMMAND),
        plain_key("env_file", &TEXT_OR_TEXTS),
        plain_key("environment", &PAIRS),
        plain_key("expose", &list_shape(&NUMBER_OR_TEXT, Unique::Yes)),
        plain_key("external_links", &UNIQUE_TEXTS),
        plain_key("extra_hosts", &PAIRS),
        plain_key("healthcheck", &HEALTHCHECK),
        plain_key("hostname", &TEXT),
        plain_key("image", &TEXT),
        later_key(7, "init", &FLAG),
        plain_key("ipc", &TEXT),
        later_key(5, "isolation", &TEXT),
        plain_key("labels", &PAIRS),
        plain_key("links", &UNIQUE_TEXTS),
        plain_key("logging", &LOGGING),
        plain_key("mac_address", &TEXT),
        plain_key("network_mode", &TEXT),
        plain_key("networks", &SERVICE_NETWORKS),
        later_key(13, "oom_score_adj", &WHOLE),
        plain_key("pid", &TEXT_OR_EMPTY),
        plain_key("ports", &list_shape(&PORT, Unique::Yes)),
        plain_key("privileged", &FLAG),
        plain_key("read_only", &FLAG),
        plain_key("restart", &TEXT),
        later_key(1, "secrets", &FILE_REFERENCES),
        plain_key("security_opt", &UNIQUE_TEXTS),
        // The form takes a number too, which is then not read.
        plain_key("shm_size", &TEXT),
        plain_key("stdin_open", &FLAG),
        plain_key("stop_grace_period", &DURATION),
        plain_key("stop_signal", &TEXT),
        plain_key("sysctls", &PAIRS),
        plain_key("tmpfs", &TEXT_OR_TEXTS),
        plain_key("tty", &FLAG),
        plain_key("ulimits", &ULIMITS),
        plain_key("user", &TEXT),
        plain_key("userns_mode", &TEXT),
        plain_key("volumes", &list_shape(&MOUNT, Unique::Before(2))),
        plain_key("working_dir", &TEXT),
    ],
    Others::Extensions(7),
);

static BUILD: Entries = map_entries(
    "`build`",
    &[
        plain_key("context", &TEXT),
        plain_key("dockerfile", &TEXT),
        plain_key("args", &PAIRS),
        later_key(2, "cache_from", &UNIQUE_TEXTS),
        later_key(3, "labels", &PAIRS),
        later_key(4, "network", &TEXT),
        later_key(4, "target", &TEXT),
        later_key(
            5,
            "shm_size",
            &Shape {
                number: Some(Digits::Whole),
                ..TEXT
            },
        ),
        later_key(9, "extra_hosts", &PAIRS),
    ],
    Others::RefusedBefore(11),
);

/// A config or secret that a service mounts.
static FILE_REFERENCES: Shape = list_shape(
    &Shape {
        map: Some(&map_entries(
            "it",
            &[
                plain_key("source", &TEXT),
                plain_key("target", &TEXT),
                plain_key("uid", &TEXT),
                plain_key("gid", &TEXT),
                plain_key("mode", &MODE),
            ],
            Others::Ignored,
        )),
        ..text_shape(Format::Free)
    },
    Unique::No,
);

static CREDENTIAL_SPEC: Shape = map_shape(&map_entries(
    "`credential_spec`",
    &[
        later_key(8, "config", &TEXT),
        plain_key("file", &TEXT),
        plain_key("registry", &TEXT),
    ],
    Others::Refused,
));

static HEALTHCHECK: Shape = map_shape(&map_entries(
    "`healthcheck`",
    &[
        plain_key("disable", &FLAG),
        plain_key("interval", &DURATION),
        plain_key("retries", &MODE),
        plain_key("test", &TEST),
        plain_key("timeout", &DURATION),
        later_key(4, "start_period", &DURATION),
        later_key(12, "start_interval", &DURATION),
    ],
    Others::Refused,
));

static LOGGING: Shape = map_shape(&map_entries(
    "`logging`",
    &[
        plain_key("driver", &TEXT),
        plain_key(
            "options",
            &map_shape(&map_entries("it", &[], Others::Named(&PLAIN))),
        ),
    ],
    Others::Refused,
));

static SERVICE_NETWORKS: Shape = Shape {
    map: Some(&map_entries(
        "`networks`",
        &[],
        Others::Identifiers(&ATTACHMENT),
    )),
    ..list_shape(&TEXT, Unique::Yes)
};

static ATTACHMENT: Shape = Shape {
    empty: true,
    ..map_shape(&map_entries(
        "a network of a service",
        &[
            plain_key("aliases", &UNIQUE_TEXTS),
            later_key(13, "driver_opts", &OPTIONS),
            plain_key("ipv4_address", &TEXT),
            plain_key("ipv6_address", &TEXT),
        ],
        Others::Refused,
    ))
};

static PORT: Shape = Shape {
    number: Some(Digits::Port),
    map: Some(&Entries {
        since: 2,
        ..map_entries(
            "a port",
            &[
                plain_key("mode", &TEXT),
                plain_key("target", &COUNT),
                plain_key("published", &COUNT),
                plain_key("protocol", &TEXT),
            ],
            Others::Refused,
        )
    }),
    ..text_shape(Format::Port)
};

static ULIMITS: Shape = map_shape(&map_entries(
    "`ulimits`",
    &[],
    Others::SmallLetters(&ULIMIT),
));

static ULIMIT: Shape = Shape {
    map: Some(&Entries {
        required: &["soft", "hard"],
        ..map_entries(
            "a limit",
            &[plain_key("hard", &INTEGER), plain_key("soft", &INTEGER)],
            Others::Refused,
        )
    }),
    ..INTEGER
};

static MOUNT: Shape = Shape {
    map: Some(&Entries {
        since: 2,
        required: &["type"],
        ..map_entries(
            "a mount",
            &[
                plain_key("type", &TEXT),
                plain_key("source", &TEXT),
                plain_key("target", &TEXT),
                plain_key("read_only", &FLAG),
                plain_key("consistency", &TEXT),
                plain_key(
                    "bind",
                    &map_shape(&map_entries(
                        "`bind`",
                        &[plain_key("propagation", &TEXT)],
                        Others::Ignored,
                    )),
                ),
                plain_key(
                    "volume",
                    &map_shape(&map_entries(
                        "`volume`",
                        &[plain_key("nocopy", &FLAG)],
                        Others::Ignored,
                    )),
                ),
                later_key(
                    6,
                    "tmpfs",
                    &map_shape(&map_entries(
                        "`tmpfs`",
                        &[plain_key("size", &COUNT)],
                        Others::Ignored,
                    )),
                ),
            ],
            Others::Refused,
        )
    }),
    ..text_shape(Format::Mount)
};

static DEPLOY: Shape = Shape {
    empty: true,
    ..map_shape(&map_entries(
        "`deploy`",
        &[
            plain_key("mode", &TEXT),
            later_key(2, "endpoint_mode", &TEXT),
            plain_key("replicas", &COUNT),
            plain_key("labels", &PAIRS),
            later_key(7, "rollback_config", &map_shape(&ROLLBACK)),
            plain_key("update_config", &map_shape(&UPDATE)),
            plain_key("resources", &RESOURCES),
            plain_key("restart_policy", &RESTART_POLICY),
            plain_key("placement", &PLACEMENT),
        ],
        Others::Refused,
    ))
};

const UPDATE_KEYS: &[Key] = &[
    plain_key("parallelism", &COUNT),
    plain_key("delay", &DURATION),
    plain_key("failure_action", &TEXT),
    plain_key("monitor", &DURATION),
    plain_key("max_failure_ratio", &NUMBER),
    later_key(4, "order", &ORDER),
];

static UPDATE: Entries = map_entries("`update_config`", UPDATE_KEYS, Others::Refused);
static ROLLBACK: Entries = map_entries("`rollback_config`", UPDATE_KEYS, Others::Refused);

static RESOURCES: Shape = map_shape(&map_entries(
    "`resources`",
    &[
        plain_key(
            "limits",
            &map_shape(&map_entries(
                "`limits`",
                &[
                    plain_key("cpus", &TEXT),
                    plain_key("memory", &SIZE),
                    later_key(9, "pids", &WHOLE),
                ],
                Others::Refused,
            )),
        ),
        plain_key(
            "reservations",
            &map_shape(&map_entries(
                "`reservations`",
                &[
                    plain_key("cpus", &TEXT),
                    plain_key("memory", &SIZE),
                    later_key(
                        5,
                        "generic_resources",
                        &list_shape(&GENERIC_RESOURCE, Unique::No),
                    ),
                ],
                Others::Refused,
            )),
        ),
    ],
    Others::Refused,
));

static GENERIC_RESOURCE: Shape = map_shape(&map_entries(
    "a generic resource",
    &[plain_key(
        "discrete_resource_spec",
        &map_shape(&map_entries(
            "`discrete_resource_spec`",
            &[plain_key("kind", &TEXT), plain_key("value", &NUMBER)],
            Others::Refused,
        )),
    )],
    Others::Refused,
));

static RESTART_POLICY: Shape = map_shape(&map_entries(
    "`restart_policy`",
    &[
        plain_key("condition", &TEXT),
        plain_key("delay", &DURATION),
        plain_key("max_attempts", &COUNT),
        plain_key("window", &DURATION),
    ],
    Others::Refused,
));

static PLACEMENT: Shape = map_shape(&map_entries(
    "`placement`",
    &[
        plain_key("constraints", &TEXTS),
        later_key(
            3,
            "preferences",
            &list_shape(
                &map_shape(&map_entries(
                    "a preference",
                    &[plain_key("spread", &TEXT)],
                    Others::Refused,
                )),
                Unique::No,
            ),
        ),
        later_key(8, "max_replicas_per_node", &COUNT),
    ],
    Others::Refused,
));

/// `external: true`, or the older `external: {name: x}`.
static EXTERNAL: Shape = Shape {
    flag: true,
    ..map_shape(&map_entries(
        "`external`",
        &[plain_key("name", &TEXT)],
        Others::Refused,
    ))
};

static LOOSE_EXTERNAL: Shape = Shape {
    flag: true,
    ..map_shape(&map_entries(
        "`external`",
        &[plain_key("name", &TEXT)],
        Others::Ignored,
    ))
};

static NETWORK: Shape = Shape {
    empty: true,
    ..map_shape(&map_entries(
        "a network",
        &[
            later_key(5, "name", &TEXT),
            plain_key("driver", &TEXT),
            plain_key("driver_opts", &OPTIONS),
            plain_key(
                "ipam",
                &map_shape(&map_entries(
                    "`ipam`",
                    &[
                        plain_key("driver", &TEXT),
                        plain_key("config", &list_shape(&SUBNET, Unique::No)),
                    ],
                    Others::Refused,
                )),
            ),
            plain_key("external", &EXTERNAL),
            plain_key("internal", &FLAG),
            later_key(2, "attachable", &FLAG),
            plain_key("labels", &PAIRS),
        ],
        Others::Extensions(7),
    ))
};

static SUBNET: Shape = map_shape(&map_entries(
    "`ipam.config`",
    &[plain_key("subnet", &TEXT)],
    Others::Refused,
));

static VOLUME: Shape = Shape {
    empty: true,
    ..map_shape(&map_entries(
        "a volume",
        &[
            later_key(4, "name", &TEXT),
            plain_key("driver", &TEXT),
            plain_key("driver_opts", &OPTIONS),
            plain_key("external", &EXTERNAL),
            plain_key("labels", &PAIRS),
            later_key(10, "x-cluster-spec", &CLUSTER_SPEC),
        ],
        Others::Extensions(7),
    ))
};

/// A volume that a CSI plugin makes.
static CLUSTER_SPEC: Shape = map_shape(&map_entries(
    "`x-cluster-spec`",
    &[
        plain_key("group", &TEXT),
        plain_key(
            "access_mode",
            &map_shape(&map_entries(
                "it",
                &[
                    plain_key("scope", &TEXT),
                    plain_key("sharing", &TEXT),
                    plain_key(
                        "block_volume",
                        &map_shape(&map_entries("it", &[], Others::Ignored)),
                    ),
                    plain_key(
                        "mount_volume",
                        &map_shape(&map_entries(
                            "it",
                            &[
                                plain_key("fs_type", &TEXT),
                                plain_key("mount_flags", &TEXTS),
                            ],
                            Others::Ignored,
                        )),
                    ),
                ],
                Others::Ignored,
            )),
        ),
        plain_key(
            "accessibility_requirements",
            &map_shape(&map_entries(
                "it",
                &[
                    plain_key("requisite", &TOPOLOGIES),
                    plain_key("preferred", &TOPOLOGIES),
                ],
                Others::Ignored,
            )),
        ),
        plain_key(
            "capacity_range",
            &map_shape(&map_entries(
                "it",
                &[
                    plain_key("required_bytes", &SIZE),
                    plain_key("limit_bytes", &SIZE),
                ],
                Others::Ignored,
            )),
        ),
        plain_key("availability", &TEXT),
    ],
    Others::Ignored,
));

static TOPOLOGIES: Shape = list_shape(
    &map_shape(&map_entries(
        "it",
        &[plain_key("segments", &PAIRS)],
        Others::Ignored,
    )),
    Unique::No,
);

static SECRET: Shape = map_shape(&map_entries(
    "a secret",
    &[
        later_key(5, "name", &TEXT),
        plain_key("file", &TEXT),
        plain_key("external", &LOOSE_EXTERNAL),
        plain_key("labels", &PAIRS),
        later_key(8, "driver", &TEXT),
        later_key(8, "driver_opts", &OPTIONS),
        later_key(8, "template_driver", &TEXT),
    ],
    Others::Extensions(7),
));

static CONFIG: Shape = map_shape(&map_entries(
    "a config",
    &[
        later_key(5, "name", &TEXT),
        plain_key("file", &TEXT),
        plain_key("external", &LOOSE_EXTERNAL),
        plain_key("labels", &PAIRS),
        later_key(8, "template_driver", &TEXT),
    ],
    Others::Extensions(7),
));
