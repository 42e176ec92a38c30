use proptest::prelude::*;

use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn queues(deck: i32, hand: i32, length_limit: u32) -> Policy {
    Policy::Queue {
        dealer: Dealer::new(deck, hand).expect("a valid deck"),
        length_limit,
    }
}

/// A wide request's seats linger for so long after its answer.
fn lingering(seats: u32, after: Duration) -> WorkEstimate {
    WorkEstimate {
        initial_seats: 1,
        final_seats: seats,
        additional_latency: after,
    }
}

/// Users who send requests in a closed loop, each with so many at a time, against one level.
struct Simulation {
    machine: FairQueue<usize>,
    now: Duration,
    /// Running requests by when they end.
    ends: BTreeMap<(Duration, Ticket), ()>,
    service: Vec<Duration>,
    width: Vec<u32>,
    /// Seat-time by user.
    served: Vec<SeatSeconds>,
    refused: Vec<u64>,
}

impl Simulation {
    fn new(policy: Policy, seats: u32, users: &[(Duration, u32)]) -> Simulation {
        Simulation {
            machine: FairQueue::new(Duration::ZERO, policy, seats),
            now: Duration::ZERO,
            ends: BTreeMap::new(),
            service: users.iter().map(|(service, _)| *service).collect(),
            width: users.iter().map(|(_, width)| *width).collect(),
            served: vec![SeatSeconds::ZERO; users.len()],
            refused: vec![0; users.len()],
        }
    }

    fn send(&mut self, user: usize) {
        let estimate = WorkEstimate::seats(self.width[user]);
        // Spread like the hash of a name.
        let flow = (user as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        match self.machine.arrive(self.now, flow, estimate, user) {
            Ok(_) => self.start(),
            Err(_) => self.refused[user] += 1,
        }
    }

    /// Notes when requests that have just started will end.
    fn start(&mut self) {
        let mut started = Vec::new();
        self.machine.take_dispatched(&mut started);
        for ticket in started {
            let user = self.machine.get(ticket).expect("a resident").payload;
            self.ends.insert((self.now + self.service[user], ticket), ());
        }
        let totals = self.machine.totals();
        assert!(totals.seats_in_use <= self.machine.seats(), "{totals:?}");
    }

    /// Each request that ends is followed by the next one of its user.
    fn run(&mut self, until: Duration) {
        while let Some(((end, ticket), ())) = self.ends.pop_first() {
            if end > until {
                self.ends.insert((end, ticket), ());
                break;
            }
            self.now = end;
            let user = self.machine.get(ticket).expect("a resident").payload;
            self.served[user] += SeatSeconds::of(self.width[user], self.service[user]);
            self.machine.finish(self.now, ticket);
            self.start();
            self.send(user);
        }
        self.now = until;
    }
}

#[test]
fn an_elephant_does_not_starve_mice() {
    let users = [(ms(10), 1); 4];
    let mut simulation = Simulation::new(queues(64, 4, 100), 4, &users);
    for _ in 0..300 {
        simulation.send(0);
    }
    for mouse in 1..4 {
        for _ in 0..2 {
            simulation.send(mouse);
        }
    }
    simulation.run(Duration::from_secs(10));
    let total: f64 = simulation.served.iter().map(|served| served.as_f64()).sum();
    assert!(total > 39.9, "{total} of 40 seat-seconds were used");
    for mouse in 1..4 {
        // The elephant has up to four queues, a mouse one or two: each gets at least its queue's part.
        let share = simulation.served[mouse].as_f64() / total;
        assert!(share > 0.13, "mouse {mouse} got {share}");
        assert_eq!(simulation.refused[mouse], 0);
    }
}

#[test]
fn queues_are_served_alike_whatever_their_requests_cost() {
    // One queue a user: long, short, wide.
    let users = [(ms(40), 1), (ms(5), 1), (ms(10), 3)];
    let mut simulation = Simulation::new(queues(512, 1, 100), 6, &users);
    for user in 0..3 {
        for _ in 0..40 {
            simulation.send(user);
        }
    }
    simulation.run(Duration::from_secs(20));
    let served: Vec<f64> = simulation.served.iter().map(|served| served.as_f64()).collect();
    let total: f64 = served.iter().sum();
    for share in served.iter().map(|served| served / total) {
        assert!((share - 1.0 / 3.0).abs() < 0.05, "{served:?}");
    }
}

#[test]
fn a_full_queue_refuses_and_others_don_t() {
    let mut machine = FairQueue::new(Duration::ZERO, queues(2, 1, 3), 1);
    let mut arrive = |flow| machine.arrive(Duration::ZERO, flow, WorkEstimate::SINGLE, ());
    for _ in 0..4 {
        assert!(arrive(0).is_ok());
    }
    assert_eq!(arrive(0), Err(Refusal::QueueFull));
    assert!(arrive(1).is_ok());
    let totals = machine.totals();
    assert_eq!((totals.executing, totals.waiting), (1, 4));
    assert_eq!((machine.tally().dispatched, machine.tally().rejected), (1, 1));
}

#[test]
fn a_level_without_queues_rejects_and_an_exempt_one_never_does() {
    let mut reject = FairQueue::new(Duration::ZERO, Policy::Reject, 2);
    let mut exempt = FairQueue::new(Duration::ZERO, Policy::Exempt, 0);
    for count in 0..5 {
        let refused = reject.arrive(Duration::ZERO, 0, WorkEstimate::SINGLE, ());
        assert_eq!(refused.err(), (count >= 2).then_some(Refusal::ConcurrencyLimit));
        assert!(
            exempt
                .arrive(Duration::ZERO, 0, WorkEstimate::seats(100), ())
                .is_ok()
        );
    }
    assert_eq!(exempt.totals().seats_in_use, 500);
}

#[test]
fn seats_linger_until_their_time() {
    let mut machine = FairQueue::new(Duration::ZERO, queues(4, 1, 10), 4);
    let wide = machine
        .arrive(ms(0), 0, lingering(4, ms(100)), "wide")
        .expect("there is room");
    let next = machine
        .arrive(ms(1), 1, WorkEstimate::SINGLE, "next")
        .expect("it may wait");
    machine.finish(ms(10), wide);
    assert!(!machine.is_executing(next));
    assert_eq!(machine.next_release(), Some(ms(110)));
    machine.tick(ms(109));
    assert_eq!(machine.totals().seats_in_use, 4);
    machine.tick(ms(110));
    assert!(machine.is_executing(next));
    machine.finish(ms(120), next);
    assert_eq!(machine.totals(), Totals::default());
    assert_eq!(machine.queues().count(), 0);
}

#[test]
fn what_is_wider_than_the_level_runs_alone_and_narrow() {
    let mut machine = FairQueue::new(Duration::ZERO, queues(4, 1, 10), 2);
    let small = machine
        .arrive(ms(0), 0, WorkEstimate::SINGLE, ())
        .expect("there is room");
    let wide = machine
        .arrive(ms(0), 1, lingering(8, ms(5)), ())
        .expect("it may wait");
    assert!(!machine.is_executing(wide));
    machine.finish(ms(1), small);
    assert!(machine.is_executing(wide));
    let estimate = machine.get(wide).expect("a resident").estimate;
    assert_eq!((estimate.final_seats, estimate.additional_latency), (2, ms(20)));
}

#[test]
fn one_that_gives_up_lets_the_next_through() {
    let mut machine = FairQueue::new(Duration::ZERO, queues(1, 1, 10), 4);
    let mut arrive = |seats| {
        machine
            .arrive(ms(0), 0, WorkEstimate::seats(seats), seats)
            .expect("it may wait")
    };
    let (running, wide, narrow) = (arrive(2), arrive(4), arrive(1));
    assert!(machine.is_executing(running) && !machine.is_executing(narrow));
    assert_eq!(machine.cancel(ms(5), wide), Some(4));
    assert!(machine.is_executing(narrow));
    assert_eq!(machine.cancel(ms(5), narrow), None);
    assert_eq!(machine.tally().cancelled, 1);
}

#[test]
fn fewer_queues_and_seats_let_go_what_waits() {
    let mut machine = FairQueue::new(Duration::ZERO, queues(64, 1, 10), 1);
    let tickets: Vec<Ticket> = (0..8)
        .map(|flow| {
            machine
                .arrive(ms(0), flow, WorkEstimate::SINGLE, ())
                .expect("it may wait")
        })
        .collect();
    machine.configure(ms(1), queues(1, 1, 1), 3);
    assert_eq!(machine.totals().executing, 3);
    machine.configure(ms(2), Policy::Reject, 8);
    assert_eq!(machine.totals().executing, 8);
    for ticket in tickets {
        machine.finish(ms(3), ticket);
    }
    assert!(machine.is_idle());
}

#[derive(Clone, Debug)]
enum Step {
    Arrive { flow: u64, estimate: WorkEstimate },
    Finish(usize),
    Cancel(usize),
    Wait(u64),
    Configure { queues: i32, seats: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let estimate =
        (1u32..4, 0u32..6, 0u64..20).prop_map(|(initial_seats, final_seats, latency)| WorkEstimate {
            initial_seats,
            final_seats,
            additional_latency: ms(latency),
        });
    prop_oneof![
        6 => (any::<u64>(), estimate).prop_map(|(flow, estimate)| Step::Arrive { flow, estimate }),
        4 => any::<prop::sample::Index>().prop_map(|index| Step::Finish(index.index(1000))),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::Cancel(index.index(1000))),
        3 => (0u64..30).prop_map(Step::Wait),
        1 => (1i32..16, 1u32..20).prop_map(|(queues, seats)| Step::Configure { queues, seats }),
    ]
}

proptest! {
    #[test]
    fn books_always_balance(steps in prop::collection::vec(step(), 1..200)) {
        let mut machine = FairQueue::new(Duration::ZERO, queues(8, 2, 5), 6);
        let mut now = Duration::ZERO;
        let mut present: Vec<Ticket> = Vec::new();
        for step in steps {
            let most = machine.seats();
            match step {
                Step::Arrive { flow, estimate } => present.extend(machine.arrive(now, flow, estimate, ())),
                Step::Finish(index) if !present.is_empty() => {
                    let ticket = present[index % present.len()];
                    if machine.is_executing(ticket) {
                        present.retain(|other| *other != ticket);
                        machine.finish(now, ticket);
                    }
                }
                Step::Cancel(index) if !present.is_empty() => {
                    let ticket = present[index % present.len()];
                    if machine.cancel(now, ticket).is_some() {
                        present.retain(|other| *other != ticket);
                    }
                }
                Step::Wait(millis) => {
                    now += ms(millis);
                    machine.tick(now);
                }
                Step::Configure { queues: count, seats } => machine.configure(now, queues(count, 1, 5), seats),
                Step::Finish(_) | Step::Cancel(_) => {}
            }
            check_books(&machine, most)?;
        }
        // All that runs ends: nothing is left behind.
        loop {
            now += ms(1000);
            machine.tick(now);
            let Some(ticket) = present.iter().copied().find(|ticket| machine.is_executing(*ticket)) else { break };
            present.retain(|other| *other != ticket);
            machine.finish(now, ticket);
        }
        prop_assert!(present.is_empty(), "{present:?} wait for ever");
        prop_assert_eq!(machine.totals(), Totals::default());
        prop_assert_eq!(machine.queues().count(), 0);
    }
}

fn check_books(machine: &FairQueue<()>, seats_before: u32) -> Result<(), TestCaseError> {
    let totals = machine.totals();
    let mut counted = Totals::default();
    let mut widest = 0;
    for (_, resident) in machine.residents() {
        let seats = resident.estimate.max_seats();
        match resident.phase {
            Phase::Waiting { .. } => {
                (counted.waiting, counted.seats_waiting) =
                    (counted.waiting + 1, counted.seats_waiting + seats)
            }
            Phase::Executing { .. } => {
                (counted.executing, counted.seats_in_use) =
                    (counted.executing + 1, counted.seats_in_use + seats)
            }
            Phase::Lingering => counted.seats_in_use += seats,
        }
        widest = widest.max(resident.estimate.initial_seats);
    }
    prop_assert_eq!(totals, counted);
    // What is wider than the level runs although it does not fit; a level made smaller has to wait for its requests.
    let bound = machine.seats().max(seats_before).max(20) + widest;
    prop_assert!(totals.seats_in_use <= bound, "{} of {bound}", totals.seats_in_use);
    let queued: usize = machine.queues().map(|(_, queue)| queue.waiting.len()).sum();
    prop_assert_eq!(queued, totals.waiting as usize);
    for (_, queue) in machine.queues() {
        prop_assert!(queue.seats_in_use > 0 || queue.executing > 0 || !queue.waiting.is_empty());
    }
    Ok(())
}
