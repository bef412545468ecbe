//! Subcommands about stack files and applications that are no jobs of their own.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, WrapErr, eyre};

use jiff::Timestamp;

use super::{Exit, job};
use crate::edge::Edge;
use crate::model::CertificateState;
use crate::ops::{Context, Request};
use crate::stack::{AppFile, Severity, Switches, Target, migrate_file};
use crate::text::clean;

/// What can be switched for an application at the edge.
#[derive(Debug, Args)]
pub struct SwitchOptions {
    /// Security headers: HSTS and its kin
    #[arg(long, value_name = "on|off", value_parser = on_off)]
    headers: Option<bool>,
    /// Ask for a password: lines of htpasswd, `NAME:HASH`; `off` for none
    #[arg(long, value_name = "NAME:HASH", value_delimiter = ',')]
    basic_auth: Option<Vec<String>>,
    /// Requests a second that one address may make; 0 for no limit
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
}

fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".into()),
    }
}

impl SwitchOptions {
    pub(super) fn switches(&self) -> Switches {
        let off = |users: &Vec<String>| users.iter().all(|u| u == "off");
        Switches {
            headers: self.headers,
            basic_auth: self.basic_auth.clone().map(|users| match off(&users) {
                true => Vec::new(),
                false => users,
            }),
            rate_limit: self.rate_limit,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// List them (the default)
    List,
    /// Print the value of one
    Show { name: String },
    /// Give one a new value, and deploy with it
    Rotate {
        name: String,
        #[command(flatten)]
        options: job::Options,
    },
}

pub(super) async fn secrets(
    cx: &Context,
    app: &str,
    what: Option<&SecretCommand>,
) -> Result<ExitCode> {
    match what {
        None | Some(SecretCommand::List) => {
            let kept = crate::ops::secret_versions(cx, app).await;
            for (name, version) in kept.map_err(|e| eyre!(e))? {
                println!("{name} version {version}");
            }
            Ok(Exit::Done.into())
        }
        Some(SecretCommand::Show { name }) => {
            let value = crate::ops::secret(cx, app, name).await;
            let value = value.map_err(|e| eyre!(e))?;
            println!("{}", secrecy::ExposeSecret::expose_secret(&value));
            Ok(Exit::Done.into())
        }
        Some(SecretCommand::Rotate { name, options }) => {
            let request = Request::Redeploy {
                app: app.to_owned(),
                variables: Default::default(),
                switches: Switches::default(),
                rotate: vec![name.clone()],
            };
            job::run(cx, request, options).await
        }
    }
}

/// Deploys `to` as `app` is deployed, but for some variables.
pub(super) fn like(
    cx: &Context,
    app: &str,
    to: &str,
    variables: &[(String, String)],
) -> Result<Request> {
    let folder = cx.config.folder();
    let folder = folder.ok_or_else(|| eyre!("without config.toml no application has a file"))?;
    let file = AppFile::load(&folder, app)?.ok_or_else(|| {
        let known = AppFile::list(&folder);
        eyre!("there is no apps/{app}.toml, only {}", known.join(", "))
    })?;
    if AppFile::load(&folder, to)?.is_some() {
        return Err(eyre!(
            "{to} has a file in apps/ already: `matou redeploy {to}` goes by it"
        ));
    }
    let mut all = file.variables;
    all.extend(variables.iter().cloned());
    Ok(Request::Deploy {
        stack: file.stack,
        app: to.to_owned(),
        variables: all,
    })
}

/// Prints what is wrong; errors make it fail, warnings do not.
pub(super) fn lint(cx: &Context, stacks: &[String], json: bool) -> Result<ExitCode> {
    let all: Vec<String> = match stacks {
        [] => cx.catalogue.list().into_iter().map(|e| e.name).collect(),
        some => some.to_vec(),
    };
    let target = Target::of(&cx.config);
    let mut failed = false;
    for stack in &all {
        for finding in cx.catalogue.lint(stack, &target)? {
            failed |= finding.severity == Severity::Error;
            match json {
                true => println!("{}", serde_json::to_string(&finding)?),
                false => println!("{finding}"),
            }
        }
    }
    Ok(match failed {
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}

pub(super) fn migrate(cx: &Context, file: &Path, write: bool) -> Result<ExitCode> {
    let text = std::fs::read_to_string(file)
        .wrap_err_with(|| format!("{} can't be read", file.display()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let shown = file.display().to_string();
    let (new, notes) = migrate_file(&shown, &text, &name, &cx.config.edge.resolver)?;
    for note in notes {
        eprintln!("{note}");
    }
    match (write, new == text) {
        (true, true) => eprintln!("{shown}: nothing to do"),
        (true, false) => {
            let temporary = file.with_extension("yml.new");
            std::fs::write(&temporary, &new)
                .and_then(|()| std::fs::rename(&temporary, file))
                .wrap_err_with(|| format!("{shown} can't be written"))?;
            eprintln!("{shown}: labels of Traefik 1 rewritten for Traefik 3");
        }
        (false, _) => print!("{new}"),
    }
    Ok(Exit::Done.into())
}

/// Prints the certificates; one that browsers refuse, or none at all, makes it fail.
pub(super) async fn certificates(cx: &Context, json: bool) -> Result<ExitCode> {
    let edge = Edge::of(&cx.config, &cx.nodes).map_err(|e| eyre!(e))?;
    let read = crate::collect::read_certificates(&cx.nodes, &edge).await;
    let certificates = read.map_err(|e| eyre!(e))?;
    let (now, most) = (Timestamp::now(), cx.config.alerts.certificate_days);
    if json {
        println!("{}", serde_json::to_string_pretty(&certificates)?);
    } else if certificates.is_empty() {
        println!("no application has a domain");
    }
    let mut failed = false;
    for c in &certificates {
        failed |= c.state(now, most) == CertificateState::Refused;
        if json {
            continue;
        }
        let left = c.worst(now, most).map_or_else(String::new, |served| {
            format!("{} d  {}", served.days_left(now), served.issuer)
        });
        let problem = c.problem(now, most).unwrap_or_default();
        println!("{:<32} {left:<24} {problem}", clean(&c.domain));
    }
    Ok(match failed {
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}
