using System.Text;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Records;
using Fairlead.Erasure;

namespace Fairlead.Auditing.Removal;

/// <summary>
/// The records of calls that an erasure is about: by the index of a block first, which excludes nearly all of them, then by the record.
/// Records of administration are never among them. Immutable.
/// </summary>
internal sealed class RecordSelection
{
    private readonly ErasureSelector _selector;
    private readonly long _until;
    private readonly byte[]? _target;
    private readonly byte[]? _project;
    private readonly byte[]? _organization;

    /// <param name="selector">Which calls.</param>
    /// <param name="until">Only calls that were accepted until then.</param>
    public RecordSelection(ErasureSelector selector, DateTimeOffset until)
    {
        (_selector, _until) = (selector, until.ToUnixTimeMilliseconds());
        _target = BytesOf(selector.TargetId);
        // A key may have been moved to another project, and a project that was deleted has an organization nobody knows. The id of a key
        // from a token is the same in all organizations to which its issuer gives access, so the organization counts there too.
        if (selector.Kind == ErasureKind.EndUser) _project = BytesOf(selector.ProjectId);
        if (selector.Kind != ErasureKind.Project) _organization = BytesOf(selector.OrganizationId);
    }

    /// <summary>Whether a block that starts at this time, in milliseconds since 1970, may have such records.</summary>
    public bool MayBeIn(long firstAt) => firstAt <= _until;

    /// <summary>The places of a block's records that may be among them.</summary>
    /// <exception cref="BlockFormatException">The index is damaged.</exception>
    public List<int> Match(BlockTerms terms)
    {
        Span<bool> matches = stackalloc bool[terms.Count];
        matches.Fill(true);
        terms.Require(BlockTerm.Type, BlockTerms.GenerationType, matches);
        if (_organization is not null) terms.Require(BlockTerm.Organization, _organization, matches);
        if (_project is not null) terms.Require(BlockTerm.Project, _project, matches);
        switch (_selector.Kind)
        {
            case ErasureKind.Generation:
                terms.RequireGeneration(BlockTerms.HashOf(_target), matches);
                break;
            case ErasureKind.Key:
                terms.Require(BlockTerm.Key, _target, matches);
                break;
            case ErasureKind.Project:
                terms.Require(BlockTerm.Project, _target, matches);
                break;
            default:
                terms.RequireLabels([_selector.Label], matches);
                break;
        }
        var places = new List<int>();
        for (var i = 0; i < matches.Length; i++)
        {
            if (matches[i] && terms.TimeOf(i) <= _until && !terms.IsRemoved(i)) places.Add(i);
        }
        return places;
    }

    /// <summary>Whether a record is among them.</summary>
    public bool Accepts(ShippedCall record)
    {
        if (record.Kind != AuditRecordKind.Generation || record.At > _until) return false;
        if (_organization is not null && !record.OrganizationId.Span.SequenceEqual(_organization)) return false;
        if (_project is not null && !record.ProjectId.Span.SequenceEqual(_project)) return false;
        return _selector.Kind switch
        {
            ErasureKind.Generation => record.GenerationId.Span.SequenceEqual(_target),
            ErasureKind.Key => record.KeyId.Span.SequenceEqual(_target),
            ErasureKind.Project => record.ProjectId.Span.SequenceEqual(_target),
            _ => record.EndUser is { } user && _selector.IsEndUser(user.Span),
        };
    }

    private static byte[]? BytesOf(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text);
}
