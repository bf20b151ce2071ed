using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// Where generations are kept that outlive their request. What a member returned from is committed. A run is named by the owner of its
/// lease and its number: whatever a run writes is ignored once another one has taken over. Thread-safe.
/// </summary>
/// <remarks>
/// All members throw what <see cref="Storage.StorageFaults"/> tells apart when the database is away. Those that add a generation find out what became of a commit whose response was lost;
/// where they cannot, they throw <see cref="Storage.UnknownCommitException"/>. Those that write of a run may be repeated by the caller: what the first try has written is written once.
/// </remarks>
internal interface IGenerationStore
{
    /// <summary>Keeps a new one in the queue, unless its project has as many there as it may; then false, and nothing was written.</summary>
    Task<bool> TryQueueAsync(GenerationRecord record, QueueLimits limits, CancellationToken cancellationToken);

    /// <summary>Keeps a new one: queued, or already running under <paramref name="leaseOwner"/> for <paramref name="lease"/>.</summary>
    Task AddAsync(GenerationRecord record, string? leaseOwner, TimeSpan lease, CancellationToken cancellationToken);

    /// <summary>Adds several that wait, within a transaction of the caller's.</summary>
    Task AddAsync(DbConnection connection, DbTransaction transaction, IReadOnlyList<GenerationRecord> records, CancellationToken cancellationToken);

    /// <summary>Null when there is none of this id in the project, or it has expired. Only the bodies that are asked for are read: they may be large.</summary>
    /// <param name="projectId">The project.</param>
    /// <param name="id">Its id.</param>
    /// <param name="bodies">Bodies to read.</param>
    /// <param name="count">Called with the length of the bodies before they are read; throws when the process has no memory for them. Null for nothing.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    Task<GenerationRecord?> FindAsync(string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken);

    /// <summary>Its status and the other short columns. Null when there is none of this id in the project, or it has expired.</summary>
    Task<GenerationRecord?> FindAsync(string projectId, string id, CancellationToken cancellationToken) => FindAsync(projectId, id, GenerationBodies.None, null, cancellationToken);

    /// <summary>One that has ended, also after its time, as long as what came of it is kept: for who began to read it before. Null when it is gone or was deleted.</summary>
    Task<GenerationRecord?> FindExpiredAsync(string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken);

    /// <summary>The request of one that was leased; null when it is gone.</summary>
    Task<byte[]?> RequestAsync(string id, CancellationToken cancellationToken);

    /// <summary>Newest first, without bodies, and without the lines of batches.</summary>
    Task<IReadOnlyList<GenerationRecord>> ListAsync(GenerationFilter filter, CancellationToken cancellationToken);

    /// <summary>
    /// Takes up to <paramref name="most"/> that wait, by class and age, and begins a run of each. No two callers get the same one. Those that ran when a process died
    /// come first, one at a time of all nodes, and only for a caller that is <paramref name="idle"/>; another one is told to become so. Without bodies: a request is read when its run
    /// begins.
    /// </summary>
    Task<LeasedGenerations> LeaseAsync(string owner, TimeSpan lease, int most, bool idle, CancellationToken cancellationToken);

    /// <summary>
    /// Puts the runs of processes that are gone back into the queue, as suspects, without counting the run. One that was alone with its process when that died, and was
    /// a suspect already, is not run again: these are returned, under the caller's lease, to be ended. Processes are gone when all their leases have ended; the runs of one that is
    /// still connected to the database wait again, but are no suspects.
    /// </summary>
    Task<IReadOnlyList<GenerationRecord>> TakeOverAsync(string owner, TimeSpan lease, CancellationToken cancellationToken);

    /// <summary>Those of <paramref name="ids"/> that wait in the queue.</summary>
    Task<IReadOnlySet<string>> WaitingAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken);

    /// <summary>Runs that the database believes to be with <paramref name="owner"/>.</summary>
    Task<IReadOnlyList<(string Id, int Run)>> HeldByAsync(string owner, CancellationToken cancellationToken);

    /// <summary>Extends the leases of <paramref name="runs"/> and notes how far they have come. Returns the ids of those still held and, with it, whether someone asked to cancel.</summary>
    Task<IReadOnlyDictionary<string, bool>> RenewAsync(string owner, IReadOnlyCollection<RunProgress> runs, TimeSpan lease, CancellationToken cancellationToken);

    /// <summary>
    /// Appends what runs have made to their generations' events, in order. Returns the ids of those that are still held; of the others nothing was written. Events that an
    /// earlier call has written are not written again, also when more have come after them.
    /// </summary>
    Task<IReadOnlySet<string>> AppendEventsAsync(string owner, IReadOnlyList<RunEvents> runs, CancellationToken cancellationToken);

    /// <summary>Kept events from number <paramref name="from"/> on. About a megabyte at most, unless one batch is longer; empty when there are no more for now.</summary>
    /// <param name="id">The generation.</param>
    /// <param name="from">Number of the first event.</param>
    /// <param name="count">Called with what each batch takes in memory before it is read; throws when the process has no memory for it. Null for nothing.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    Task<IReadOnlyList<GenerationEvent>> ReadEventsAsync(string id, int from, Action<long>? count, CancellationToken cancellationToken);

    /// <summary>Its state, and how many events are kept of it; null when there is none of this id.</summary>
    Task<(GenerationStatus Status, int Events)?> StateAsync(string id, CancellationToken cancellationToken);

    /// <summary>Ends a run, with the last of its events. False when it no longer holds the generation; then nothing was written. True as well when it has ended so already.</summary>
    Task<bool> EndAsync(string id, string owner, int run, GenerationEnd end, NewEvents last, CancellationToken cancellationToken);

    /// <summary>
    /// Puts a generation back into the queue: after a pause, or because its process could not go on (<paramref name="countRun"/> false: the run does not count). One that
    /// somebody has asked to cancel stays where it is, to be ended.
    /// </summary>
    Task<GenerationReturn> ReturnAsync(string id, string owner, int run, TimeSpan pause, bool countRun, CancellationToken cancellationToken);

    /// <summary>
    /// Ends it as <paramref name="end"/> says when it waits; asks its run to stop when it runs; nothing when it has ended. Returns the state found before, or null
    /// when there is none of this id in the project.
    /// </summary>
    Task<GenerationStatus?> CancelAsync(string projectId, string id, GenerationEnd end, CancellationToken cancellationToken);

    /// <summary>Forgets one that has ended, as if its time were over. False when there is none of this id in the project that has ended.</summary>
    Task<bool> ForgetAsync(string projectId, string id, CancellationToken cancellationToken);

    /// <summary>Lets the runs of processes that are gone be taken over at once. Only right when no other process can be at work on this database.</summary>
    Task ReleaseAllAsync(CancellationToken cancellationToken);

    /// <summary>How many wait before this one.</summary>
    Task<int> PositionAsync(GenerationRecord record, CancellationToken cancellationToken);

    /// <summary>Forgets what expired before <paramref name="now"/>; returns how many.</summary>
    Task<int> ExpireAsync(DateTimeOffset now, CancellationToken cancellationToken);
}

/// <summary>Which bodies of a generation are read with it.</summary>
[Flags]
internal enum GenerationBodies
{
    /// <summary>The status and the other short columns.</summary>
    None = 0,

    /// <summary>What was asked.</summary>
    Request = 1,

    /// <summary>What came of it: the result, its details and, while it runs, how far it has come.</summary>
    Result = 2,
}

/// <summary>What one project may have in the queue.</summary>
/// <param name="Jobs">So many.</param>
/// <param name="Bytes">Requests of so many bytes together.</param>
internal readonly record struct QueueLimits(int Jobs, long Bytes);

/// <summary>What a caller may begin now.</summary>
/// <param name="Taken">Each has a new run.</param>
/// <param name="IsClearing">One waits for a run alone: the caller should let its others end and begin none.</param>
internal sealed record LeasedGenerations(IReadOnlyList<GenerationRecord> Taken, bool IsClearing);

/// <summary>What came of giving a generation back.</summary>
internal enum GenerationReturn
{
    Returned,

    /// <summary>Nothing was written: somebody has asked to cancel it.</summary>
    CancelRequested,

    /// <summary>Nothing was written: the run no longer holds it.</summary>
    Lost,
}

/// <summary>One run and how far it has come, or null when nothing is new.</summary>
internal sealed record RunProgress(string Id, int Run, byte[]? Progress);

/// <summary>Events that one run has made.</summary>
internal sealed record RunEvents(string Id, int Run, NewEvents Made);

/// <summary>Events in order, with their place among all of their generation.</summary>
/// <param name="First">Number of the first of them: so many must be written before, or these are.</param>
/// <param name="Events">The events.</param>
internal sealed record NewEvents(int First, IReadOnlyList<GenerationEvent> Events)
{
    public static readonly NewEvents None = new(0, []);
}
