//! `dfwfd serve`: serves the embedded platform for other clients and CI, until it is stopped or its command ends.

mod command;
mod token;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::{Clock, Global, Serve, UploadMode};
use crate::error::{Exit, Fault};
use crate::platform::{self, DataDirError, FaultSpec, ServeOptions, Server, StartError};
use crate::run::signals::Stop;
use crate::ui::Ui;

/// Serves until it is stopped, or until the command ends.
pub(super) async fn run(_: &Global, args: &Serve, ui: &Ui) -> anyhow::Result<Exit> {
    let server = start(args)?;
    let mut settings = settings(&server, args.control);
    settings.extend(args.token_env.clone().map(|name| ("DFWFD__NMP_CONFIG__API_KEY_ENV", name)));
    if let Some(file) = &args.env_file {
        write_whole(file, &lines(&settings))?;
    }
    let stop = Stop::default();
    let work = async {
        if let Some((program, arguments)) = args.run.split_first() {
            return command::run(program, arguments, &settings, &stop).await;
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
    if args.clock == Clock::Simulated && !args.control {
        let message = "cannot serve with --clock simulated alone: only POST /control/advance moves that clock";
        return Err(Fault::new(Exit::Usage, message).hint("add --control").into());
    }
    let options = ServeOptions {
        address: args.listen,
        port: args.port,
        token: token::of(args)?,
        gpus: args.gpus,
        upload_mode: match args.upload_mode {
            UploadMode::Regular => platform::UploadMode::Regular,
            UploadMode::Lfs => platform::UploadMode::Lfs,
        },
        clock: match args.clock {
            Clock::Real => platform::Clock::Real,
            Clock::Polls => platform::Clock::Polls,
            Clock::Simulated => platform::Clock::Simulated,
        },
        control: args.control,
        faults: Vec::new(),
        data_dir: args.data_dir.clone(),
    };
    let faults = args.faults.iter().map(|text| fault(text, &options)).collect::<anyhow::Result<_>>()?;
    let options = ServeOptions { faults, ..options };
    Server::start(options).map_err(|error| {
        let listening = format!("cannot listen on {}", SocketAddr::new(args.listen, args.port));
        match error {
            StartError::Listening(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                Fault::new(Exit::Failed, format!("{listening}: the port is taken"))
                    .hint("use --port 0, which takes a free port")
                    .into()
            }
            StartError::Listening(error) => anyhow::Error::new(error).context(listening),
            StartError::DataDir(error @ DataDirError::InUse { .. }) => {
                Fault::new(Exit::Locked, error.to_string()).hint("end that server, or choose another --data-dir").into()
            }
            StartError::DataDir(error) => error.into(),
        }
    })
}

fn fault(text: &str, options: &ServeOptions) -> anyhow::Result<FaultSpec> {
    let read = text.parse().and_then(|spec: FaultSpec| spec.fits(options.clock, options.control).map(|()| spec));
    read.map_err(|bad| {
        let example =
            "for example --fault 'POST /nemo/v1/customization/jobs: status=503 times=2'; docs/ci.md lists all faults";
        let fault = Fault::new(Exit::Usage, bad.to_string()).hint(example);
        anyhow::Error::new(fault).context(format!("cannot read --fault '{text}'"))
    })
}

/// Returns the environment variables for other processes: those that `dfwfd` reads, and the URL of `/control`.
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

/// Prints the variables. The server already accepts connections.
fn announce(settings: &[(&str, String)], server: &Server, ui: &Ui) {
    ui.payload(lines(settings).trim_end());
    let environment: serde_json::Map<_, _> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    ui.json(&json!({"schema": 1, "port": server.port(), "instance": server.instance(), "environment": environment}));
}

/// Writes a file completely or not at all.
fn write_whole(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder)
        .and_then(|mut unnamed| unnamed.write_all(text.as_bytes()).map(|()| unnamed))
        .and_then(|unnamed| unnamed.persist(file).map_err(|error| error.error));
    written.map(drop).with_context(|| format!("cannot write {}", file.display()))
}
