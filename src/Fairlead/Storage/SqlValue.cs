using System.Data;
using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>
/// A value of a statement in its column format: times are milliseconds since 1970, booleans 0 and 1. A null keeps its type, because
/// PostgreSQL cannot always infer the type of an untyped null. Values convert implicitly: <c>("@id", id)</c>.
/// </summary>
internal readonly struct SqlValue
{
    private readonly DbType _type;
    private readonly object? _value;

    private SqlValue(DbType type, object? value) => (_type, _value) = (type, value);

    public static implicit operator SqlValue(string? text) => new(DbType.String, text);

    public static implicit operator SqlValue(long? number) => new(DbType.Int64, number);

    public static implicit operator SqlValue(bool flag) => new(DbType.Int64, flag ? 1L : 0L);

    public static implicit operator SqlValue(DateTimeOffset? time) => new(DbType.Int64, time?.ToUnixTimeMilliseconds());

    public static implicit operator SqlValue(byte[]? bytes) => new(DbType.Binary, bytes);

    public void AddTo(DbCommand command, string name)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.DbType = _type;
        parameter.Value = _value ?? DBNull.Value;
        command.Parameters.Add(parameter);
    }
}
