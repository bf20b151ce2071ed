using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>The current row of a result. Columns are read by name, so that adding or reordering columns breaks no reader.</summary>
/// <remarks>
/// Valid only inside the function that receives it. Formats are those of <see cref="SqlValue"/>. A column that holds another type throws
/// <see cref="InvalidCastException"/> or <see cref="FormatException"/>; an unknown name throws <see cref="ArgumentOutOfRangeException"/> or
/// <see cref="IndexOutOfRangeException"/>.
/// </remarks>
internal readonly struct SqlRow(DbDataReader reader)
{
    public bool IsNull(string column) => reader.IsDBNull(reader.GetOrdinal(column));

    public string Text(string column) => reader.GetString(reader.GetOrdinal(column));

    public string? TextOrNull(string column) => IsNull(column) ? null : Text(column);

    public long Int64(string column) => reader.GetInt64(reader.GetOrdinal(column));

    public long? Int64OrNull(string column) => IsNull(column) ? null : Int64(column);

    public int Int32(string column) => (int)Int64(column);

    public int? Int32OrNull(string column) => IsNull(column) ? null : Int32(column);

    public bool Bool(string column) => Int64(column) != 0;

    public DateTimeOffset Time(string column) => DateTimeOffset.FromUnixTimeMilliseconds(Int64(column));

    public DateTimeOffset? TimeOrNull(string column) => IsNull(column) ? null : Time(column);

    public byte[] Bytes(string column) => reader.GetFieldValue<byte[]>(reader.GetOrdinal(column));

    public Task<byte[]> BytesAsync(string column, CancellationToken cancellationToken) =>
        reader.GetFieldValueAsync<byte[]>(reader.GetOrdinal(column), cancellationToken);

    public async Task<byte[]?> BytesOrNullAsync(string column, CancellationToken cancellationToken) =>
        await reader.IsDBNullAsync(reader.GetOrdinal(column), cancellationToken) ? null : await BytesAsync(column, cancellationToken);

    public byte[]? BytesOrNull(string column) => IsNull(column) ? null : Bytes(column);
}
