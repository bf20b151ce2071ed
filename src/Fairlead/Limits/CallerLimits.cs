using System.Collections.Concurrent;
using Fairlead.Access;
using Fairlead.Catalogue;

namespace Fairlead.Limits;

/// <summary>
/// The limits that apply to the calls of one <see cref="Caller"/> of a snapshot, by model and class, each resolved when it is first needed.
/// Thread-safe.
/// </summary>
/// <param name="owner">Where they are counted.</param>
/// <param name="accounts">The accounts of the caller's organization.</param>
/// <param name="defaults">The defaults of the configuration that are in <paramref name="keyLimits"/>.</param>
/// <param name="keyLimits">The limits of the key, with the defaults.</param>
internal sealed class CallerLimits(LimitAccounts owner, OrganizationAccounts accounts, LimitSet defaults, LimitSet keyLimits)
{
    /// <summary>Models of earlier configurations are among them, so they are forgotten together now and then.</summary>
    private const int MaxModels = 256;

    private readonly ConcurrentDictionary<CatalogueModel, AppliedLimits?[]> _byModel = new(ReferenceEqualityComparer.Instance);
    private LastModel? _last;

    public LimitAccounts Owner { get; } = owner;

    public OrganizationAccounts Accounts { get; } = accounts;

    public LimitSet Defaults { get; } = defaults;

    public LimitSet KeyLimits { get; } = keyLimits;

    public AppliedLimits Of(Caller caller, CatalogueModel model, string @class)
    {
        var byClass = ByClass(model);
        var index = IndexOf(@class);
        return Volatile.Read(ref byClass[index]) is { IsDropped: false } known ? known : Add(byClass, index, caller, model, @class);
    }

    // Most keys use one model.
    private AppliedLimits?[] ByClass(CatalogueModel model)
    {
        if (Volatile.Read(ref _last) is { } last && ReferenceEquals(last.Model, model)) return last.ByClass;
        if (!_byModel.TryGetValue(model, out var byClass))
        {
            if (_byModel.Count >= MaxModels) _byModel.Clear();
            byClass = _byModel.GetOrAdd(model, static _ => new AppliedLimits?[CallClasses.All.Count]);
        }
        Volatile.Write(ref _last, new LastModel(model, byClass));
        return byClass;
    }

    private AppliedLimits Add(AppliedLimits?[] byClass, int index, Caller caller, CatalogueModel model, string @class)
    {
        var resolved = Accounts.Resolve(caller, KeyLimits, model, @class);
        Volatile.Write(ref byClass[index], resolved);
        return resolved;
    }

    private static int IndexOf(string @class) => @class switch
    {
        CallClasses.Realtime => 0,
        CallClasses.Bulk => 2,
        _ => 1,
    };

    private sealed record LastModel(CatalogueModel Model, AppliedLimits?[] ByClass);
}
