//! What winit cannot do on Windows: keep the system's shortcuts from the system, read the lock keys, and keep the screen on.
//!
//! Shortcuts are kept by a low-level keyboard hook, which Windows calls on the thread that installed it, for every key of the
//! whole system, and without which it gives nobody the next key. So it stands on a thread of its own that does nothing else, and is
//! there only while a window of ours has the shortcuts. What it keeps, and when a window hears of it, is [`Taken`]'s to say.

use super::taken::{Heard, Taken};
use std::cell::RefCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Power::{ES_CONTINUOUS, ES_DISPLAY_REQUIRED, SetThreadExecutionState};
use windows_sys::Win32::System::Threading::GetCurrentThreadId;
use windows_sys::Win32::UI::Input::KeyboardAndMouse::{
    GetAsyncKeyState, GetKeyState, VIRTUAL_KEY, VK_CAPITAL, VK_CONTROL, VK_MENU, VK_NUMLOCK,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CallNextHookEx, GetForegroundWindow, GetMessageW, HC_ACTION, KBDLLHOOKSTRUCT, LLKHF_ALTDOWN, LLKHF_EXTENDED,
    LLKHF_UP, MSG, PM_NOREMOVE, PeekMessageW, PostMessageW, PostThreadMessageW, SetWindowsHookExW, UnhookWindowsHookEx,
    WH_KEYBOARD_LL, WM_NULL, WM_QUIT,
};
use winit::keyboard::PhysicalKey;
use winit::platform::scancode::PhysicalKeyExtScancode as _;
use winit::raw_window_handle::{HasWindowHandle, RawWindowHandle};
use winit::window::Window;

/// The hook, for as long as this lives.
pub(super) struct Hook {
    shared: Arc<Shared>,
    /// The thread's number, by which it is told to end, and itself.
    thread: Option<(u32, JoinHandle<()>)>,
}

/// What the hook's thread and the window's have together.
struct Shared {
    /// Keys are kept while this window is in front.
    window: AtomicIsize,
    /// Held for moments only: Windows drops a hook that answers late.
    keys: Mutex<Taken>,
}

thread_local! {
    /// On a hook's thread: what its hook works for.
    static MINE: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

impl Hook {
    /// Begins to keep the system's shortcuts while `window` is in front; `None` where the system has no hook to spare.
    pub(super) fn install(window: &Window) -> Option<Self> {
        Self::begin(number(window)?)
    }

    fn begin(window: isize) -> Option<Self> {
        let shared = Arc::new(Shared { window: AtomicIsize::new(window), keys: Mutex::default() });
        let (tell, told) = mpsc::channel();
        let mine = shared.clone();
        let body = move || {
            hook(mine, |id| {
                // Whoever asked waits for it.
                let _ = tell.send(id);
            });
        };
        let thread = std::thread::Builder::new().name("telepane-keys".into()).spawn(body);
        let thread = thread.inspect_err(|error| tracing::warn!(%error, "shortcuts stay this system's")).ok()?;
        // A thread that could not install one has ended.
        let id = told.recv().ok()?;
        Some(Self { shared, thread: Some((id, thread)) })
    }

    /// Another window of ours has them now.
    pub(super) fn move_to(&self, window: &Window) {
        if let Some(window) = number(window) {
            self.shared.window.store(window, Ordering::Relaxed);
        }
    }

    /// What was kept, and in which order.
    pub(super) fn keys(&self) -> MutexGuard<'_, Taken> {
        self.shared.keys()
    }

    /// Another one in its place, for one that hears nothing any more.
    pub(super) fn renewed(&self) -> Option<Self> {
        Self::begin(self.shared.window.load(Ordering::Relaxed))
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let Some((id, thread)) = self.thread.take() else { return };
        // SAFETY: it takes numbers; the thread has a queue, and its number is its own until it is joined below.
        unsafe { PostThreadMessageW(id, WM_QUIT, 0, 0) };
        let _ = thread.join();
    }
}

impl Shared {
    fn keys(&self) -> MutexGuard<'_, Taken> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key of the whole system; whether it is kept from it.
    fn hears(&self, key: &KBDLLHOOKSTRUCT) -> bool {
        let window = self.window.load(Ordering::Relaxed) as HWND;
        // SAFETY: it takes nothing.
        if unsafe { GetForegroundWindow() } != window {
            return false;
        }
        let is = |flag| key.flags & flag != 0;
        // SAFETY: it takes a number. The state is that before this key.
        let held = |key: VIRTUAL_KEY| unsafe { GetAsyncKeyState(key.into()) } < 0;
        let scancode = key.scanCode & 0xff | if is(LLKHF_EXTENDED) { 0xe000 } else { 0 };
        let heard = Heard {
            code: super::key_code(PhysicalKey::from_scancode(scancode)),
            means: key.vkCode as VIRTUAL_KEY,
            down: !is(LLKHF_UP),
            // Wine says it in one of the two ways.
            alt: is(LLKHF_ALTDOWN) || held(VK_MENU),
            control: held(VK_CONTROL),
        };
        let kept = self.keys().on_heard(heard);
        if kept {
            // SAFETY: it takes numbers, and fails for a window that is gone. The message says nothing, and wakes the loop.
            unsafe { PostMessageW(window, WM_NULL, 0, 0) };
        }
        kept
    }
}

/// The thread of a hook: says its number once the hook is there, and serves until it is told to end.
fn hook(shared: Arc<Shared>, installed: impl FnOnce(u32)) {
    MINE.set(Some(shared));
    // SAFETY: a message without pointers is valid when all of it is zero.
    let mut message: MSG = unsafe { std::mem::zeroed() };
    // SAFETY: the message is ours. This gives the thread its queue, before anybody sends to it.
    unsafe { PeekMessageW(&raw mut message, null_mut(), 0, 0, PM_NOREMOVE) };
    // SAFETY: the procedure has the type that such a hook has, and is part of this program, whose handle is asked for.
    let hook = unsafe { SetWindowsHookExW(WH_KEYBOARD_LL, Some(on_key), GetModuleHandleW(std::ptr::null()), 0) };
    if hook.is_null() {
        let error = std::io::Error::last_os_error();
        tracing::warn!(%error, "this system has no keyboard hook to spare: shortcuts stay its own");
        return;
    }
    // SAFETY: it takes nothing.
    installed(unsafe { GetCurrentThreadId() });
    // SAFETY: the message is ours. It gives 0 for WM_QUIT and -1 for an error; hooks are called from within.
    while unsafe { GetMessageW(&raw mut message, null_mut(), 0, 0) } > 0 {}
    // SAFETY: the hook is the one that was installed above, and is let go of once.
    unsafe { UnhookWindowsHookEx(hook) };
}

unsafe extern "system" fn on_key(code: i32, wparam: WPARAM, lparam: LPARAM) -> LRESULT {
    if code == HC_ACTION as i32 {
        // SAFETY: with this code Windows gives the address of such a structure, which is there until this returns.
        let key = unsafe { &*(lparam as *const KBDLLHOOKSTRUCT) };
        if MINE.with_borrow(|mine| mine.as_ref().is_some_and(|mine| mine.hears(key))) {
            return 1;
        }
    }
    // SAFETY: what was given is handed on as it is; the hook's handle is not looked at any more.
    unsafe { CallNextHookEx(null_mut(), code, wparam, lparam) }
}

/// A window as Windows numbers it.
fn number(window: &Window) -> Option<isize> {
    match window.window_handle().ok()?.as_raw() {
        RawWindowHandle::Win32(handle) => Some(handle.hwnd.get()),
        _ => None,
    }
}

/// Caps Lock and Num Lock.
pub(super) fn locks() -> (bool, bool) {
    // SAFETY: it takes a number; the lowest bit is whether a lock is on.
    let is_on = |key: VIRTUAL_KEY| unsafe { GetKeyState(key.into()) } & 1 != 0;
    (is_on(VK_CAPITAL), is_on(VK_NUMLOCK))
}

/// Keeps the screen on for as long as this thread lives, or no longer.
pub(super) fn keep_awake(on: bool) {
    let what = if on { ES_CONTINUOUS | ES_DISPLAY_REQUIRED } else { ES_CONTINUOUS };
    // SAFETY: it takes a number.
    if unsafe { SetThreadExecutionState(what) } == 0 {
        tracing::debug!("the system does not keep the screen on");
    }
}
