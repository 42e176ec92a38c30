use super::*;

/// A machine and a clock in milliseconds.
struct Run {
    machine: Machine,
    start: Instant,
    now_ms: u64,
}

impl Run {
    fn new() -> Self {
        Run {
            machine: Machine::default(),
            start: Instant::now(),
            now_ms: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    /// Feeds an input and renders the next action.
    fn input(&mut self, input: Input) -> String {
        self.machine.input(input, self.now(), 0.5);
        self.next()
    }

    fn next(&self) -> String {
        match self.machine.next(self.now()) {
            Action::List(ListFrom::Any) => "list any".into(),
            Action::List(ListFrom::Latest) => "list latest".into(),
            Action::List(ListFrom::Continue(token)) => format!("list {token}"),
            Action::Watch { resource_version } => format!("watch {resource_version}"),
            Action::Read => "read".into(),
            Action::Wait { until } => format!("wait {}ms", (until - self.now()).as_millis()),
        }
    }

    fn after(&mut self, milliseconds: u64) -> String {
        self.now_ms += milliseconds;
        self.next()
    }
}

fn page(version: &str, token: &str) -> Input {
    Input::Page {
        resource_version: version.into(),
        continue_: token.into(),
    }
}

fn seen(version: &str) -> Input {
    Input::Seen {
        resource_version: version.into(),
    }
}

#[test]
fn pages_then_watch_then_resume_where_it_ended() {
    let mut run = Run::new();
    assert_eq!(run.next(), "list any");
    assert_eq!(run.input(page("10", "t")), "list t");
    assert_eq!(run.input(page("10", "")), "watch 10");
    assert_eq!(run.input(Input::WatchOpened), "read");
    assert_eq!(run.input(seen("12")), "read");
    assert_eq!(run.input(Input::WatchEnded(None)), "watch 12");
}

#[test]
fn expiry_relists_from_the_latest_version_after_a_pause() {
    let mut run = Run::new();
    run.input(page("10", ""));
    run.input(Input::WatchOpened);
    assert_eq!(
        run.input(Input::WatchEnded(Some(Failure::Expired))),
        "wait 1200ms"
    );
    assert_eq!(run.after(1200), "list latest");
    // A failure of that list doesn't fall back to a stale one.
    assert_eq!(run.input(Input::ListFailed(Failure::Other)), "wait 2400ms");
    assert_eq!(run.after(2400), "list latest");
    assert_eq!(run.input(page("20", "")), "watch 20");
}

#[test]
fn an_expired_continue_token_starts_the_list_over() {
    let mut run = Run::new();
    run.input(page("10", "t"));
    run.input(Input::ListFailed(Failure::Expired));
    assert_eq!(run.after(1200), "list latest");
}

#[test]
fn failures_back_off_up_to_a_limit_and_quiet_resets() {
    let mut run = Run::new();
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(run.input(Input::ListFailed(Failure::Other)));
        run.after(45_000);
    }
    let expected = [
        "1200ms", "2400ms", "4800ms", "9600ms", "19200ms", "38400ms", "45000ms", "45000ms",
    ];
    assert_eq!(waits, expected.map(|wait| format!("wait {wait}")));
    run.after(121_000);
    assert_eq!(run.input(Input::ListFailed(Failure::Other)), "wait 1200ms");
}

#[test]
fn a_watch_that_ends_at_once_in_silence_counts_as_failure() {
    let mut run = Run::new();
    run.input(page("10", ""));
    run.input(Input::WatchOpened);
    run.after(500);
    assert_eq!(run.input(Input::WatchEnded(None)), "wait 1200ms");
    run.after(1200);
    run.input(Input::WatchOpened);
    run.after(5000);
    assert_eq!(run.input(Input::WatchEnded(None)), "watch 10");
}

#[test]
fn a_watch_that_cannot_be_opened_keeps_its_version() {
    let mut run = Run::new();
    run.input(page("10", ""));
    assert_eq!(run.input(Input::WatchEnded(Some(Failure::Other))), "wait 1200ms");
    assert_eq!(run.after(1200), "watch 10");
}
