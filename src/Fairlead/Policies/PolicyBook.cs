using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Policies.Matching;
using Fairlead.Policies.Resources;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Policies;

/// <summary>
/// The policies in force on this node: those of the configuration and those of the database, replaced together. A call reads one field. If
/// the database is unavailable, what was read last stays in force. Thread-safe.
/// </summary>
internal sealed class PolicyBook(
    IConfigurationSource configuration, IStorage storage, IWindowJudge judge, ILogger<PolicyBook> logger) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private volatile PolicySet _current = PolicySet.Empty;
    private ContentPolicyConfig? _config;
    private List<PolicyRow> _rows = [];
    private long _revision = -1;

    /// <summary>Judges for remote rules.</summary>
    public IWindowJudge Judge => judge;

    /// <summary>The policies of a caller; null if none applies.</summary>
    public CompiledPolicies? Of(Caller caller) => _current.Of(caller);

    /// <summary>Applies what has changed. When it returns, everything committed before the call is in force.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var config = configuration.Current.ContentPolicy;
            await using var connection = await storage.OpenAsync(cancellationToken);
            var isNew = await PolicyTable.ReadRevisionAsync(connection, cancellationToken) != _revision;
            if (isNew) (_revision, _rows) = await PolicyTable.ReadAllAsync(connection, cancellationToken);
            if (!isNew && ReferenceEquals(config, _config)) return;
            _config = config;
            _current = new PolicySet([.. OfConfiguration(config), .. OfDatabase()], _current);
            PolicyLog.Applied(logger, config.Policies.Count, _rows.Count);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>
    /// After a change of this process that is committed: it stays committed even if this fails, and the next refresh applies it.
    /// </summary>
    public async Task RefreshAfterChangeAsync()
    {
        try
        {
            // Not the request's token: a client that disconnects must not delay a policy.
            await RefreshAsync(CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            PolicyLog.RefreshFailed(logger, StorageErrors.Describe(exception));
        }
    }

    public void Dispose() => _gate.Dispose();

    /// <summary>The policies of the configuration.</summary>
    public static IEnumerable<OwnedPolicy> OfConfiguration(ContentPolicyConfig config) => config.Policies.Select(entry =>
        new OwnedPolicy(new PolicyDefinition(ConfiguredPolicyId.Of(entry.Key), entry.Key, 1, entry.Value.Rules), entry.Value.Owner));

    private List<OwnedPolicy> OfDatabase()
    {
        var policies = new List<OwnedPolicy>(_rows.Count);
        foreach (var row in _rows)
        {
            try
            {
                var rules = PolicyContent.Parse(row.Content);
                if (PolicyRuleCheck.CheckAll(rules).Count > 0) throw new FormatException("A rule of it has an error.");
                policies.Add(new OwnedPolicy(new PolicyDefinition(row.Id, row.Name, (int)row.Version, rules), row.Owner));
            }
            catch (Exception exception) when (exception is System.Text.Json.JsonException or FormatException)
            {
                // A row that was edited by hand. Nothing passes where it applies: a policy must not disappear by an accident.
                PolicyLog.Unreadable(logger, row.Id, exception.Message);
                policies.Add(new OwnedPolicy(UnreadablePolicy.Of(row), row.Owner));
            }
        }
        return policies;
    }
}
