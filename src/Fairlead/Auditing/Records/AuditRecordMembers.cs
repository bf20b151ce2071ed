namespace Fairlead.Auditing.Records;

/// <summary>
/// The members of an audit record that the database has columns for, as <see cref="AuditRecordWriter"/> writes them and
/// <see cref="ShippedCall"/> reads them: each is the fixed text from the end of the value before it to the start of its own value. The
/// members of the usage are those of <see cref="Dialects.UsageJson"/>.
/// </summary>
internal static class AuditRecordMembers
{
    /// <summary>Of a record and of an attempt.</summary>
    public static ReadOnlySpan<byte> Id => "{\"id\":"u8;

    public static ReadOnlySpan<byte> At => ",\"at\":"u8;

    public static ReadOnlySpan<byte> RequestId => ",\"request_id\":"u8;

    public static ReadOnlySpan<byte> GenerationId => ",\"generation_id\":"u8;

    public static ReadOnlySpan<byte> OrganizationId => ",\"organization_id\":"u8;

    public static ReadOnlySpan<byte> Dialect => ",\"dialect\":"u8;

    public static ReadOnlySpan<byte> ProjectId => ",\"project_id\":"u8;

    public static ReadOnlySpan<byte> KeyId => ",\"key_id\":"u8;

    /// <summary>Of a record and of an attempt.</summary>
    public static ReadOnlySpan<byte> Model => ",\"model\":"u8;

    public static ReadOnlySpan<byte> Attempts => ",\"attempts\":"u8;

    /// <summary>The first of the parameters that a column exists for.</summary>
    public static ReadOnlySpan<byte> Class => ",\"class\":"u8;

    /// <summary>Of a record and of an attempt.</summary>
    public static ReadOnlySpan<byte> Usage => ",\"usage\":"u8;

    /// <summary>Of a record and of an attempt.</summary>
    public static ReadOnlySpan<byte> CostUsd => ",\"cost_usd\":"u8;

    /// <summary>Of a record and of an attempt.</summary>
    public static ReadOnlySpan<byte> Outcome => ",\"outcome\":"u8;

    /// <summary>Of a record and of an attempt.</summary>
    public static ReadOnlySpan<byte> ErrorCode => ",\"error_code\":"u8;

    /// <summary>Who caused the call; only if the request names them, after the error.</summary>
    public static ReadOnlySpan<byte> EndUser => ",\"user\":"u8;

    /// <summary>
    /// The request's metadata; only if it has any, after the user. Nothing that is read by its fixed text may come after it: its names are
    /// the client's.
    /// </summary>
    public static ReadOnlySpan<byte> Metadata => ",\"metadata\":"u8;

    public static ReadOnlySpan<byte> AttemptNumber => ",\"number\":"u8;

    public static ReadOnlySpan<byte> AttemptDeployment => ",\"deployment\":"u8;

    /// <summary>Of a record and of an attempt.</summary>
    public static ReadOnlySpan<byte> Provider => ",\"provider\":"u8;

    /// <summary>
    /// Why an attempt was charged something else than its provider reported; only then, after its cost. The values are those of
    /// <see cref="ChargeDifference"/>.
    /// </summary>
    public static ReadOnlySpan<byte> Difference => ",\"difference\":"u8;

    /// <summary>The usage that the provider reported, if it reported any; only after <see cref="Difference"/>.</summary>
    public static ReadOnlySpan<byte> Reported => ",\"reported\":"u8;

    public static ReadOnlySpan<byte> ReportedCostUsd => ",\"reported_cost_usd\":"u8;

    /// <summary>The name alone, for a reader that accepts members in any order.</summary>
    public static ReadOnlySpan<byte> NameOf(ReadOnlySpan<byte> member) => member[2..^2];
}
