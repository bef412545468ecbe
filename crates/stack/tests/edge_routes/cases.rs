//! Labels as public stack files have them.

/// Files for another Traefik, which work behind the edge as they are.
pub(crate) const FITTING: [(&str, &str); 7] = [
    (
        "no-tls",
        "services:\n  web:\n    image: x:1\n    networks: [traefik-net]\n    deploy:\n      labels:\n        - traefik.enable=true\n        - traefik.http.routers.a.rule=Host(`a.test`)\n        - traefik.http.services.a.loadbalancer.server.port=80\nnetworks:\n  traefik-net: {external: true}\n",
    ),
    (
        "other-names",
        "services:\n  web:\n    image: x:1\n    networks: [proxy]\n    deploy:\n      labels:\n        traefik.enable: 'true'\n        traefik.docker.network: proxy\n        traefik.http.routers.a.rule: Host(`a.test`)\n        traefik.http.routers.a.entryPoints: https\n        traefik.http.routers.a.tls.certResolver: letsencrypt\n        traefik.http.routers.a.middlewares: short@docker\n        traefik.http.middlewares.short.compress: 'true'\n        traefik.http.services.a.loadbalancer.server.port: 80\nnetworks:\n  proxy: {external: true}\n",
    ),
    (
        "redirect-pair",
        "services:\n  web:\n    image: x:1\n    networks: [default, traefik-public]\n    deploy:\n      labels:\n        - traefik.enable=true\n        - traefik.docker.network=traefik-public\n        - traefik.constraint-label=traefik-public\n        - traefik.http.routers.a-http.rule=Host(`a.test`)\n        - traefik.http.routers.a-http.entrypoints=http\n        - traefik.http.routers.a-http.middlewares=https-redirect\n        - traefik.http.middlewares.https-redirect.redirectscheme.scheme=https\n        - traefik.http.routers.a-https.rule=Host(`a.test`)\n        - traefik.http.routers.a-https.entrypoints=https\n        - traefik.http.routers.a-https.tls=true\n        - traefik.http.routers.a-https.tls.certresolver=le\n        - traefik.http.services.a.loadbalancer.server.port=80\nnetworks:\n  traefik-public:\n    external: true\n",
    ),
    (
        "http-alone",
        "services:\n  web:\n    image: x:1\n    networks: [web]\n    deploy:\n      labels:\n        - traefik.enable=true\n        - traefik.http.routers.a.rule=Host(`a.test`)\n        - traefik.http.routers.a.entrypoints=web\n        - traefik.http.services.a.loadbalancer.server.port=80\nnetworks:\n  web:\n    external:\n      name: traefik_web\n",
    ),
    (
        "own-network",
        "services:\n  web:\n    image: x:1\n    deploy:\n      labels:\n        - traefik.http.routers.a.rule=Host(`a.test`) && PathPrefix(`/x`)\n        - traefik.http.routers.a.entrypoints=web,web-secure\n        - traefik.http.services.a.loadbalancer.server.port=80\n  db:\n    image: y:1\n",
    ),
    (
        "virtual-address",
        "services:\n  web:\n    image: x:1\n    networks:\n      inner:\n    deploy:\n      labels:\n        - traefik.enable=true\n        - traefik.docker.lbswarm=true\n        - traefik.http.routers.a.rule=Host(`a.test`)\n        - traefik.http.routers.a.tls=false\n        - traefik.http.services.a.loadbalancer.server.port=80\nnetworks:\n  inner: {}\n",
    ),
    (
        "both-networks",
        "services:\n  web:\n    image: x:1\n    networks: [traefik-net]\n    deploy:\n      labels:\n        - traefik.enable=true\n        - traefik.http.routers.a.rule=Host(`a.test`)\n        - traefik.http.routers.a.tls=true\n        - traefik.http.services.a.loadbalancer.server.port=80\n  api:\n    image: x:1\n    networks: [traefik-public]\n    deploy:\n      labels:\n        - traefik.enable=true\n        - traefik.docker.network=traefik-public\n        - traefik.http.routers.b.rule=Host(`b.test`)\n        - traefik.http.services.b.loadbalancer.server.port=80\nnetworks:\n  traefik-net: {external: true}\n  traefik-public: {external: true}\n",
    ),
];

/// Labels of which Traefik has something to say.
pub(crate) struct RefusedCase {
    /// The label that is wrong; more follow after a line's end.
    pub label: &'static str,
    /// What matou says at its line.
    pub told: &'static str,
    /// What Traefik says; nothing where it says nothing, and leaves requests without an answer.
    pub said: &'static str,
}

impl RefusedCase {
    /// Returns the compose file, with labels as a list or as a mapping.
    pub(crate) fn file(&self, as_list: bool) -> String {
        let mut text = "services:\n  web:\n    image: x:1\n    networks: [traefik-net]\n    deploy:\n      labels:\n".to_owned();
        let base = [
            "traefik.enable=true",
            "traefik.http.routers.good.rule=Host(`good.test`)",
            "traefik.http.routers.good.entrypoints=websecure",
            "traefik.http.routers.good.tls.certresolver=le",
            "traefik.http.services.good.loadbalancer.server.port=80",
        ];
        let key = |label: &'static str| label.split_once('=').expect("a label").0;
        let others = |b: &&str| {
            self.label
                .lines()
                .all(|l| !b.starts_with(&format!("{}=", key(l))))
        };
        for label in base.into_iter().filter(others).chain(self.label.lines()) {
            let (key, value) = label.split_once('=').expect("a label");
            let value = value.replace('\'', "''").replace('$', "$$");
            text += &match as_list {
                true => format!("        - '{key}={value}'\n"),
                false => format!("        {key}: '{value}'\n"),
            };
        }
        text + "networks:\n  traefik-net: {external: true}\n"
    }

    /// The line of the label.
    pub(crate) fn line(&self) -> usize {
        let key = self.label.split('=').next().expect("a label");
        let file = self.file(true);
        file.lines()
            .position(|l| l.contains(&format!("{key}=")))
            .expect("the label")
            + 1
    }
}

macro_rules! refused {
    ($($label:expr, $told:expr, $said:expr;)*) => {
        &[$(RefusedCase { label: $label, told: $told, said: $said }),*]
    };
}

pub(crate) const REFUSED: &[RefusedCase] = refused! {
    "traefik.http.routers.a.rule=Host('a.test')", "write Host(`a.test`) with back-ticks", "error while parsing rule";
    "traefik.http.routers.a.rule=PathPrefix()", "no shell takes the back-ticks away", "no args for matcher";
    "traefik.http.routers.a.rule=Host(a.test)", "stands in no quotes", "error while parsing rule";
    "traefik.http.routers.a.rule=Host(``)", "Host has no value", "empty args for matcher";
    "traefik.http.routers.a.rule=Host(`a.test`,`b.test`)", "write (Host(`a.test`) || Host(`b.test`))", "unexpected number of parameters";
    "traefik.http.routers.a.rule=Host(`a.test`) PathPrefix(`/x`)", "join its parts", "error while parsing rule";
    "traefik.http.routers.a.rule=Host(`a.test`) && Headers(`A`, `b`)", "Traefik 3 calls it Header", "unsupported function: Headers";
    "traefik.http.routers.a.rule=hostRegexp(`a`)", "did you mean HostRegexp?", "unsupported function";
    "traefik.http.routers.a.rule=PathPrefix(`x`)", "begins with a slash", "does not start with a '/'";
    "traefik.http.routers.a.rule=HostRegexp(`*.a.test`)", "nothing before it to repeat", "missing argument to repetition";
    "traefik.http.routers.a.rule=PathRegexp(`^/(?!api)`)", "looks ahead", "invalid or unsupported Perl syntax";
    "traefik.http.routers.a.rule=Host(`bücher.test`)", "with xn--", "non-ASCII";
    "traefik.http.routers.a.rule=HostRegexp(`{host:.+}`)", "a template of Traefik 2", "";
    "traefik.http.routers.a.entrypoint=websecure", "did you mean traefik.http.routers.a.entrypoints?", "field not found, node: entrypoint";
    "traefik.http.routers.a.certresolver=le", "routers.a.tls.certresolver?", "field not found";
    "traefik.http.router.a.rule=Host(`a.test`)", "did you mean `routers`?", "field not found, node: router";
    "traefik.http.routers.my.app.rule=Host(`a.test`)", "drops all labels of web", "field not found";
    "traefik.http.services.good.loadbalancer.servers.port=80", "loadbalancer.server.port?", "field not found";
    "traefik.http.routers.good.priority=high", "it is a whole number", "invalid syntax";
    "traefik.http.middlewares.m.stripprefix.forceslash=yes", "it is true or false", "invalid syntax";
    "traefik.http.middlewares.m.retry.initialinterval=soon", "it is a time", "invalid duration";
    "traefik.http.middlewares.m.redirectscheme.permanent=true\ntraefik.http.routers.good.middlewares=m", "add traefik.http.middlewares.m.redirectscheme.scheme=https", "you must provide a target scheme";
    "traefik.http.middlewares.m.addprefix.prefix=/x\ntraefik.http.middlewares.m.compress=true\ntraefik.http.routers.good.middlewares=m", "make it several", "multi-types middleware not supported";
    "traefik.http.middlewares.m.redirectregex.regex=^(a\ntraefik.http.middlewares.m.redirectregex.replacement=b\ntraefik.http.routers.good.middlewares=m", "has a ( that is not closed", "missing closing )";
    "traefik.http.routers.good.middlewares=mine", "unless another application defines the middleware mine", "does not exist";
    "traefik.http.routers.good.middlewares=mine@file", "no provider file", "does not exist";
    "traefik.http.routers.good.service=mine", "nobody in this file defines the service mine", "does not exist";
    "traefik.http.routers.good.tls.options=modern@file", "TLS options come from files", "unknown TLS options";
    "traefik.http.services.good.loadbalancer.serverstransport=mine@file", "a servers transport comes from a file", "not found";
    "traefik.http.routers.good.entrypoints=mqtt", "the edge has no entry point mqtt", "entryPoint \"mqtt\" doesn't exist";
    "traefik.http.services.more.loadbalancer.passhostheader=true", "add traefik.http.services.more.loadbalancer.server.port", "port is missing";
    "traefik.http.routers.a.rule=Host(`a.test`)\ntraefik.http.services.more.loadbalancer.server.port=81", "say to which of", "cannot be linked automatically";
    "traefik.tcp.routers.t.rule=HostSNI(`t.test`)\ntraefik.tcp.routers.t.entrypoints=websecure\ntraefik.tcp.services.t.loadbalancer.server.port=81", "HostSNI with a name needs TLS", "no TLS on router";
    "traefik.udp.routers.u.entrypoints=dns\ntraefik.udp.services.u.loadbalancer.server.port=53", "no entry point for UDP", "entryPoint \"dns\" doesn't exist";
    "traefik.http.services.good.loadbalancer.server.port=web", "it is a port from 1 to 65535", "invalid port";
    "traefik.http.middlewares.m.plugin.x.y=1\ntraefik.http.routers.good.middlewares=m", "the edge has no plugins", "plugin";
    "traefik.http.middlewares.m.basicauth.users=bob:\ntraefik.http.routers.good.middlewares=m", "its hash is not whole", "";
};
