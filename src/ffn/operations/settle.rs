//! How it is found out what became of a call whose outcome nobody knows: the words of the table for it.
//!
//! A row of [`super::OPERATIONS`] says which; the executor does it. The guarantee they stand for: nothing is sent
//! that could have an effect for a second time before FFN was asked, and where nothing can tell, a person is.

/// How a call in doubt is settled.
#[derive(Debug, Clone, Copy)]
pub enum Settle {
    /// The same call twice has the effect of one: it is sent again.
    Repeatable,
    /// It is sent again, and FFN's answer tells whether it was done before.
    Told {
        /// Codes that mean so whenever they come: what was asked for is there already.
        done: &'static [&'static str],
        /// Codes that mean so only of a call in doubt; of a first one they are a refusal.
        gone: &'static [&'static str],
    },
    /// The object is read: its state says whether it was done (contract 10.6, 10.7, 11).
    State(State),
    /// The object is looked for by its maker's own number (contract 10.3).
    Key(Key),
    /// The object is read: it was done if it shows all that was asked for. Else the call is sent again.
    ReadBack {
        /// Where the object is.
        path: &'static str,
    },
    /// The stock ledger is searched for the entries with the command's own ids (contract 11, 14).
    Ledger {
        /// The object to answer with; the entry itself if there is none.
        answer: Option<&'static str>,
    },
    /// Each order of the list is read, and those that are not there yet are sent again (contract 10.6).
    EachStatus,
    /// Nothing can tell: a person has to look.
    Nothing,
}

/// A state that an object is to reach.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Where the object is.
    pub path: &'static str,
    /// The member that tells.
    pub field: &'static str,
    /// What it says when it is done.
    pub wanted: Wanted,
    /// Codes of a refusal after which it is looked whether it is there already.
    pub refused: &'static [&'static str],
}

/// What a member says when a call was done.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// This.
    Is(&'static str),
    /// What this member of the command says.
    Asked(&'static str),
    /// A status that this member of the command names; `statusTimestamp` tells of it even after it was left.
    Reached(&'static str),
    /// A lock that the caller holds (contract 12).
    LockedByMe,
    /// No lock.
    Unlocked,
}

/// An object that is found by what its maker gave it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Members of the command, and of a row, that together are one object's alone. Without them in the command
    /// only the absence of its like can tell.
    pub members: &'static [(&'static str, &'static str)],
    /// Where its rows are.
    pub place: Place,
    /// What has to agree: else it is another object under the same number.
    pub same: &'static [Same],
    /// Codes with which FFN says that it is there.
    pub exists: &'static [&'static str],
    /// The fact beside such a code that names it, and where it is then (`{}`).
    pub named: Option<(&'static str, &'static str)>,
    /// Rows with this member and value are over: their number may be used again.
    pub dead: Option<(&'static str, &'static str)>,
    /// Rows with this member and value are another matter.
    pub other: Option<(&'static str, &'static str)>,
    /// Whether FFN itself refuses a second one.
    pub is_unique: bool,
    /// Whether the command says something that FFN does not show, so that what is there can't be compared with it.
    pub has_secret: bool,
}

/// Where the rows are that an object is looked for in.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// A list that can be filtered by the first member of the key (contract 8, appendix D).
    List(&'static str),
    /// A list without a filter.
    Children(&'static str),
    /// A member of an object.
    Within {
        /// Where the object is.
        path: &'static str,
        /// The member that holds the rows.
        member: &'static str,
    },
}

/// What has to agree in a command and in what FFN holds.
#[derive(Debug, Clone, Copy)]
pub enum Same {
    /// A member of this name, as far as the command gives it.
    Member(&'static str),
    /// Rows of a list.
    Rows {
        /// The member that holds them.
        member: &'static str,
        /// The member that names a row, if there is one.
        id: Option<&'static str>,
        /// What is compared of each; with `?` only where FFN shows it.
        of: &'static [&'static str],
        /// Whether FFN may hold further rows.
        more: bool,
    },
    /// The bytes in the base64 of one member are as many as the other one says.
    Size {
        /// The command's member.
        data: &'static str,
        /// FFN's member.
        size: &'static str,
    },
    /// Every other member of the command's body that FFN shows.
    Given,
}

impl Same {
    /// The command's member that it names; none if it is about all others.
    pub fn member(&self) -> Option<&'static str> {
        match *self {
            Self::Member(member) | Self::Rows { member, .. } | Self::Size { data: member, .. } => Some(member),
            Self::Given => None,
        }
    }

    /// In words, for the documentation.
    fn describe(&self) -> String {
        match *self {
            Self::Member(member) => format!("`{member}`"),
            Self::Rows { member, of: [], .. } => format!("`{member}`"),
            Self::Rows { member, of, .. } => {
                let of: Vec<String> = of.iter().map(|of| format!("`{}`", of.trim_end_matches('?'))).collect();
                format!("`{member}` ({})", of.join(", "))
            }
            Self::Size { data, .. } => format!("the size of `{data}`"),
            Self::Given => "whatever else it gives and FFN shows".to_owned(),
        }
    }
}

impl Key {
    /// In words, for the documentation.
    fn describe(&self) -> String {
        let place = match self.place {
            Place::List(path) | Place::Children(path) => format!("`{path}`"),
            Place::Within { path, member } => format!("`{member}` of `{path}`"),
        };
        let compared: Vec<String> = self.same.iter().map(Same::describe).collect();
        let compared = compared.join(", ");
        let members: Vec<String> = self.members.iter().map(|(member, _)| format!("`{member}`")).collect();
        match (members.join(" and "), self.same) {
            (members, _) if members.is_empty() => {
                format!("looked for in {place} by {compared}: what is not there was not done, else nothing can tell")
            }
            (members, []) => format!("looked for in {place} by {members}"),
            (members, _) => format!("looked for in {place} by {members}; compared: {compared}"),
        }
    }
}

impl Settle {
    /// In words, for the documentation.
    pub fn describe(&self) -> String {
        match self {
            Self::Repeatable => "sent again: twice has the effect of once".to_owned(),
            Self::Told { done, gone } => {
                let codes: Vec<String> = done.iter().chain(*gone).map(|code| format!("`{code}`")).collect();
                format!("sent again: {} then says that it was done", codes.join(" or "))
            }
            Self::State(state) => match state.wanted {
                Wanted::Is(value) => format!("read: `{}` is `{value}`", state.field),
                Wanted::Asked(member) => format!("read: `{}` is the command's `{member}`", state.field),
                Wanted::Reached(member) => {
                    format!("read: `{}` is, or since was, the command's `{member}`", state.field)
                }
                Wanted::LockedByMe => "read: the lock is the account's".to_owned(),
                Wanted::Unlocked => "read: there is no lock".to_owned(),
            },
            Self::Key(key) => key.describe(),
            Self::ReadBack { .. } => "read: it shows all that was asked for; else sent again".to_owned(),
            Self::Ledger { .. } => "looked for in `stocks/changes` by `fulfillerStockChangeId`".to_owned(),
            Self::EachStatus => "each order is read; those that are not there yet are sent again".to_owned(),
            Self::Nothing => "nothing can tell: `outcome-unknown`".to_owned(),
        }
    }
}
