using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Http;

namespace Fairlead.Generations;

/// <summary>Which generations of its project a caller wants to see. Immutable.</summary>
internal sealed record GenerationListFilter
{
    /// <summary>Before the key of a pair of metadata.</summary>
    public const string MetadataPrefix = "metadata.";

    /// <summary>The parameters, besides those of metadata.</summary>
    public static readonly string[] Names = ["status", "outcome", "model", "dialect", "user", "created_after", "created_before"];

    private static readonly string[] OutcomeNames = [.. Enum.GetValues<Outcome>().Select(outcome => outcome.ToWire())];

    public GenerationStatus? Status { get; private init; }

    public Outcome? Outcome { get; private init; }

    /// <summary>The model of the catalogue, or the name as it is in the query if the catalogue does not have it.</summary>
    public string? Model { get; private init; }

    /// <summary>All names under which it is requested.</summary>
    public IReadOnlyList<string>? ModelNames { get; private init; }

    public string? Dialect { get; private init; }

    public string? EndUser { get; private init; }

    public DateTimeOffset? CreatedAfter { get; private init; }

    public DateTimeOffset? CreatedBefore { get; private init; }

    public IReadOnlyList<KeyValuePair<string, string>> Metadata { get; private init; } = [];

    /// <summary>Whether the labels of each stored generation must be looked at.</summary>
    public bool HasLabels => EndUser is not null || Metadata.Count > 0;

    /// <summary>
    /// The outcomes of calls that have ended and that match; null for all, empty if no call that has ended can match.
    /// </summary>
    public IReadOnlyList<string>? Outcomes
    {
        get
        {
            if (Status is null && Outcome is null) return null;
            return
            [
                .. Enum.GetValues<Outcome>()
                    .Where(outcome => (Outcome is null || outcome == Outcome) && (Status is null || outcome.ToStatus() == Status))
                    .Select(outcome => outcome.ToWire()),
            ];
        }
    }

    public static GenerationListFilter Read(QueryReader query, ICatalogueSnapshot catalogue, IReadOnlyList<string> dialects)
    {
        var status = query.OneOf("status", GenerationStatusNames.All);
        var outcome = query.OneOf("outcome", OutcomeNames);
        var name = query.Text("model");
        var model = name is null ? null : catalogue.Find(name);
        var read = new GenerationListFilter
        {
            Status = status is null ? null : GenerationStatusNames.Parse(status),
            Outcome = outcome is null ? null : GenerationStatusNames.ParseOutcome(outcome),
            Model = model?.Id ?? name,
            ModelNames = name is null ? null : model is null ? [name] : [model.Id, .. model.Aliases],
            Dialect = query.OneOf("dialect", dialects),
            EndUser = query.Text("user"),
            CreatedAfter = query.Time("created_after"),
            CreatedBefore = query.Time("created_before"),
            Metadata = query.Prefixed(MetadataPrefix, 16, 64, 512),
        };
        if (read.CreatedAfter >= read.CreatedBefore) query.AddError("created_before", "Must be later than created_after.");
        return read;
    }

    /// <summary>Whether a stored generation has the labels.</summary>
    public bool AcceptsLabels(GenerationRecord record) =>
        (EndUser is null || record.Context.EndUser == EndUser)
        && Metadata.All(pair => record.Context.Metadata?.TryGetValue(pair.Key, out var value) == true && value == pair.Value);
}
