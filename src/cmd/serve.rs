//! `dfwfd serve`: the embedded platform on a port, for other clients and CI; with a command, for as long as that runs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use anyhow::Context as _;
use serde_json::json;

use crate::cli::{Clock, Global, Serve, UploadMode};
use crate::error::{Exit, Fault};
use crate::platform::{self, DataDirError, FaultSpec, ServeOptions, Server, StartError};
use crate::run::stop::Stop;
use crate::ui::Ui;

/// Serves until stopped, or until the command ends.
pub(super) async fn run(_: &Global, args: &Serve, ui: &Ui) -> anyhow::Result<Exit> {
    let server = start(args)?;
    let settings = settings(&server, args.control);
    if let Some(file) = &args.env_file {
        write_whole(file, &lines(&settings))?;
    }
    let stop = Stop::default();
    let work = async {
        if let Some((program, arguments)) = args.run.split_first() {
            return attend(spawn(program, arguments, &settings)?, &stop).await;
        }
        announce(&settings, &server, ui);
        stop.asked().await;
        Ok(Exit::Done)
    };
    let exit = tokio::select! {
        exit = work => exit,
        () = stop.watch_signals() => Ok(Exit::Done),
    };
    for fault in server.unused_faults() {
        ui.warn(&format!("the fault '{fault}' has struck no call"));
    }
    server.stop();
    exit
}

fn start(args: &Serve) -> anyhow::Result<Server> {
    let options = ServeOptions {
        port: args.port,
        gpus: args.gpus,
        upload_mode: match args.upload_mode {
            UploadMode::Regular => platform::UploadMode::Regular,
            UploadMode::Lfs => platform::UploadMode::Lfs,
        },
        clock: match args.clock {
            Clock::Real => platform::Clock::Real,
            Clock::Polls => platform::Clock::Polls,
        },
        control: args.control,
        faults: Vec::new(),
        data_dir: args.data_dir.clone(),
    };
    let faults = args.faults.iter().map(|text| fault(text, &options)).collect::<anyhow::Result<_>>()?;
    let options = ServeOptions { faults, ..options };
    Server::start(options).map_err(|error| {
        let listening = format!("listening on 127.0.0.1:{}", args.port);
        match error {
            StartError::Listening(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                Fault::new(Exit::Failed, format!("{listening}: the port is taken"))
                    .hint("--port 0 takes a free one")
                    .into()
            }
            StartError::Listening(error) => anyhow::Error::new(error).context(listening),
            StartError::DataDir(error @ DataDirError::InUse { .. }) => {
                Fault::new(Exit::Locked, error.to_string()).hint("end that server, or name another --data-dir").into()
            }
            StartError::DataDir(error) => error.into(),
        }
    })
}

fn fault(text: &str, options: &ServeOptions) -> anyhow::Result<FaultSpec> {
    let read = text.parse().and_then(|spec: FaultSpec| spec.fits(options.clock, options.control).map(|()| spec));
    read.map_err(|bad| {
        let example =
            "docs/ci.md has them all; an example: --fault 'POST /nemo/v1/customization/jobs: status=503 times=2'";
        let fault = Fault::new(Exit::Usage, bad.to_string()).hint(example);
        anyhow::Error::new(fault).context(format!("reading --fault '{text}'"))
    })
}

/// What another process needs to know, as environment variables: those that `dfwfd` reads, and where `/control` is.
fn settings(server: &Server, control: bool) -> Vec<(&'static str, String)> {
    let (nemo, nim, datastore) = server.base_urls();
    let mut settings = vec![
        ("DFWFD__NMP_CONFIG__PLATFORM", "nemo".to_owned()),
        ("DFWFD__NMP_CONFIG__NEMO_BASE_URL", nemo),
        ("DFWFD__NMP_CONFIG__NIM_BASE_URL", nim),
        ("DFWFD__NMP_CONFIG__DATASTORE_BASE_URL", datastore),
    ];
    if control {
        settings.push(("DFWFD_CONTROL_URL", format!("http://127.0.0.1:{}/control", server.port())));
    }
    settings
}

fn lines(settings: &[(&str, String)]) -> String {
    settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// Says where it is: it accepts connections since it was started.
fn announce(settings: &[(&str, String)], server: &Server, ui: &Ui) {
    ui.payload(lines(settings).trim_end());
    let environment: serde_json::Map<_, _> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    ui.json(&json!({"schema": 1, "port": server.port(), "instance": server.instance(), "environment": environment}));
}

/// Writes a file complete or not at all.
fn write_whole(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder)
        .and_then(|mut unnamed| unnamed.write_all(text.as_bytes()).map(|()| unnamed))
        .and_then(|unnamed| unnamed.persist(file).map_err(|error| error.error));
    written.map(drop).with_context(|| format!("writing {}", file.display()))
}

fn spawn(program: &str, arguments: &[String], settings: &[(&str, String)]) -> anyhow::Result<Child> {
    let started =
        Command::new(program).args(arguments).envs(settings.iter().map(|(name, value)| (name, value))).spawn();
    match started {
        Ok(child) => Ok(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Fault::new(Exit::Usage, format!("there is no program {program}"))
                .hint("what follows -- is run as it stands, not by a shell; for one: -- sh -c '...'")
                .into())
        }
        Err(error) => Err(error).with_context(|| format!("starting {program}")),
    }
}

/// Waits for the command. A SIGTERM is handed on; Ctrl-C reaches it by itself, from the terminal.
async fn attend(mut child: Child, stop: &Stop) -> anyhow::Result<Exit> {
    let id = child.id();
    let ended = tokio::task::spawn_blocking(move || child.wait());
    tokio::pin!(ended);
    let status = tokio::select! {
        status = &mut ended => status,
        why = stop.asked() => {
            if why.reason != "Ctrl-C" {
                terminate(id);
            }
            ended.await
        }
    };
    Ok(Exit::Child(code(status?.context("waiting for the command")?)))
}

#[cfg(unix)]
fn terminate(id: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(_: u32) {}

/// The code of the command; one that a signal has ended gets 128 more than the signal, as in a shell.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0));
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
