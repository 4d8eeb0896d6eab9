//! xrdp with xorgxrdp, and xfreerdp. The session manager is left out: Xorg with xorgxrdp's module is started by hand, and
//! xrdp's `libxup` connects to it. What remains is the path that every key and every pixel takes in a real session. The viewer
//! is told of a fast network and full colour, which makes the pictures lossless; [`DEFAULT`] leaves both to it.

use super::{Server, Stack, Stage, free_port, wait_listening};
use crate::display::Display;
use crate::link::Net;
use crate::process::{Process, find};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// xrdp by one of its viewer's settings.
pub struct Xrdp {
    default: bool,
}

/// With the settings that serve it best here.
pub const BEST: Xrdp = Xrdp { default: false };
/// With the viewer's own.
pub const DEFAULT: Xrdp = Xrdp { default: true };

impl Stack for Xrdp {
    fn name(&self) -> &'static str {
        if self.default { "xrdp default" } else { "xrdp" }
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("xrdp", "xrdp"), ("Xorg", "xserver-xorg-core"), ("xfreerdp", "freerdp2-x11")]
    }

    fn needs_packages(&self) -> &'static [&'static str] {
        // A driver of that server's, which comes with no program of its own.
        &["xorgxrdp"]
    }

    fn settings(&self) -> &'static str {
        if self.default {
            "Xorg with xorgxrdp, xrdp -n with libxup (no session manager), TLS; xfreerdp /f /sec:tls, colours and network as it chooses"
        } else {
            "Xorg with xorgxrdp, xrdp -n with libxup (no session manager), TLS; xfreerdp /f /bpp:32 /sec:tls /network:lan (lossless)"
        }
    }

    fn host_display(&self, dir: &Path, size: (usize, usize), _net: &Net) -> Result<Option<Display>> {
        Ok(Some(Display::xorgxrdp("host-x", dir, size)?))
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        let port = free_port()?;
        let file = stage.dir.join("xrdp.ini");
        let socket = stage.dir.join(format!("xrdp_display_{}", stage.host.trim_start_matches(':')));
        std::fs::write(&file, ini(&stage.address(), port, &socket, &stage.dir))?;
        let mut command = Command::new(find("xrdp").context("xrdp is not installed")?);
        command.args(["-n", "-c"]).arg(&file).env("XRDP_SOCKET_PATH", &stage.dir).env("HOME", &stage.dir);
        let mut process = stage.on_host(&mut command, "xrdp")?;
        wait_listening(&mut process, port)?;
        Ok(Server { processes: vec![process], port: Some(port) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        let port = server.port.context("the server has no port")?;
        let (w, h) = stage.size;
        let mut command = Command::new("xfreerdp");
        command
            .args([&format!("/v:{}:{port}", stage.address()), "/cert:ignore", "/f", &format!("/size:{w}x{h}")])
            .args(if self.default { &[][..] } else { &["/bpp:32", "/network:lan"][..] })
            .args(["/sec:tls", "/u:bench", "/p:bench", "-grab-keyboard", "/log-level:WARN"])
            .env("DISPLAY", &stage.client)
            .env("HOME", &stage.dir);
        Ok(Some(stage.on_client(&mut command, "xfreerdp")?))
    }

    fn leaves_behind(&self, viewer: u32) -> Option<PathBuf> {
        Some(super::freerdp_leaves_behind(viewer))
    }
}

fn ini(address: &str, port: u16, socket: &Path, dir: &Path) -> String {
    let (socket, dir) = (socket.display(), dir.display());
    format!(
        "[Globals]\nini_version=1\nfork=true\nport=tcp://{address}:{port}\ntcp_nodelay=true\ntcp_keepalive=true\n\
         security_layer=tls\ncrypt_level=high\ncertificate=\nkey_file=\nssl_protocols=TLSv1.2, TLSv1.3\n\
         autorun=xup\nallow_channels=true\nallow_multimon=true\nbitmap_cache=true\nbitmap_compression=true\n\
         bulk_compression=true\nmax_bpp=32\nnew_cursors=true\nuse_fastpath=both\n\n\
         [Logging]\nLogFile={dir}/xrdp-own.log\nLogLevel=WARNING\nEnableSyslog=false\n\n\
         [Channels]\nrdpdr=false\nrdpsnd=false\ndrdynvc=true\ncliprdr=false\nrail=false\nxrdpvr=false\n\n\
         [xup]\nname=xup\nlib=libxup.so\nusername=bench\npassword=bench\nip=127.0.0.1\nport={socket}\ncode=20\n"
    )
}
