using System.Collections.Frozen;
using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>
/// Which projects and organizations have an enabled webhook for one type of events, so that others cost nothing. Read again after a change
/// on any node, and from time to time because notices may be lost. Thread-safe.
/// </summary>
internal sealed class WebhookSubscribers : IDisposable
{
    /// <summary>Channel on which nodes notify each other of changed webhooks.</summary>
    public const string Channel = "webhooks_changed";

    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(30);

    private readonly string _type;
    private readonly TimeProvider _time;
    private readonly IDisposable _notices;
    private readonly Lock _gate = new();
    private WebhookSubscriberSet _current = WebhookSubscriberSet.Empty;
    private long? _readAt;

    /// <param name="storage">The database.</param>
    /// <param name="type">The type of events.</param>
    /// <param name="time">The clock.</param>
    public WebhookSubscribers(IStorage storage, string type, TimeProvider time)
    {
        _type = type;
        _time = time;
        _notices = storage.Notifier.Subscribe(Channel, _ => Forget());
    }

    public void Dispose() => _notices.Dispose();

    /// <summary>The current set. Usually from memory.</summary>
    /// <param name="connection">Read on this connection if necessary.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public async ValueTask<WebhookSubscriberSet> ReadAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        WebhookSubscriberSet known;
        lock (_gate)
        {
            known = _current;
            if (_readAt is { } at && _time.GetElapsedTime(at) < MaxAge) return known;
            // Before the read, so that a change during it causes another one.
            _readAt = _time.GetTimestamp();
        }
        try
        {
            var owners = new HashSet<string>(StringComparer.Ordinal);
            var organizations = new HashSet<string>(StringComparer.Ordinal);
            var rows = await connection.QueryAsync(
                """
                SELECT DISTINCT w.project_id AS owner, p.organization_id AS organization FROM webhooks w LEFT JOIN projects p ON p.id = w.project_id
                WHERE w.status = 'enabled' AND w.url IS NOT NULL AND (w.events LIKE '%"*"%' OR w.events LIKE @type)
                """,
                [("@type", $"%\"{_type}\"%")], row => (Owner: row.Text("owner"), Organization: row.TextOrNull("organization")),
                cancellationToken);
            foreach (var (owner, organization) in rows)
            {
                owners.Add(owner);
                if (organization is not null) organizations.Add(organization);
            }
            var isGrown = owners.Any(owner => !known.Owners.Contains(owner));
            var read = new WebhookSubscriberSet(
                owners.ToFrozenSet(StringComparer.Ordinal), organizations.ToFrozenSet(StringComparer.Ordinal),
                known.Growth + (isGrown ? 1 : 0));
            lock (_gate) _current = read;
            return read;
        }
        catch
        {
            Forget();
            throw;
        }
    }

    private void Forget()
    {
        lock (_gate) _readAt = null;
    }
}

/// <summary>The owners of enabled webhooks for one type of events. Immutable.</summary>
/// <param name="Owners">Ids of projects and organizations.</param>
/// <param name="OrganizationsOfProjects">Organizations of the projects among them.</param>
/// <param name="Growth">Increases with each set that has owners which the one before it did not have.</param>
internal sealed record WebhookSubscriberSet(FrozenSet<string> Owners, FrozenSet<string> OrganizationsOfProjects, long Growth)
{
    public static readonly WebhookSubscriberSet Empty = new(FrozenSet<string>.Empty, FrozenSet<string>.Empty, 0);

    public bool IsEmpty => Owners.Count == 0;

    /// <summary>Whether something that concerns one project has a receiver.</summary>
    public bool WantsOfProject(string organizationId, string projectId) => Owners.Contains(organizationId) || Owners.Contains(projectId);

    /// <summary>Whether something that concerns a whole organization has a receiver.</summary>
    /// <param name="organizationId">The organization.</param>
    /// <param name="projectId">One of its projects, because not every project is in the database.</param>
    public bool WantsOfOrganization(string organizationId, string projectId) =>
        WantsOfProject(organizationId, projectId) || OrganizationsOfProjects.Contains(organizationId);
}
