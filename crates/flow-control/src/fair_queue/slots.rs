//! Requests by ticket, in slots that are used again.

/// Names a request within a machine, as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u32);

#[derive(Debug)]
pub struct Slots<V> {
    slots: Vec<Option<V>>,
    free: Vec<u32>,
}

impl<V> Default for Slots<V> {
    fn default() -> Self {
        Slots {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<V> Slots<V> {
    pub fn insert(&mut self, value: V) -> Ticket {
        if let Some(free) = self.free.pop() {
            self.slots[free as usize] = Some(value);
            return Ticket(free);
        }
        let next = u32::try_from(self.slots.len()).expect("invariant: memory ends before tickets do");
        self.slots.push(Some(value));
        Ticket(next)
    }

    pub fn remove(&mut self, ticket: Ticket) -> Option<V> {
        let value = self.slots.get_mut(ticket.0 as usize)?.take();
        if value.is_some() {
            self.free.push(ticket.0);
        }
        value
    }

    pub fn get(&self, ticket: Ticket) -> Option<&V> {
        self.slots.get(ticket.0 as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut V> {
        self.slots.get_mut(ticket.0 as usize)?.as_mut()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Ticket, &V)> {
        let numbered = (0..).zip(&self.slots);
        numbered.filter_map(|(index, slot)| Some((Ticket(index), slot.as_ref()?)))
    }
}
